#!/usr/bin/env python3
"""Measures one forward of a network beside Python's: pairs, one after the other, and the median of their ratios.

    scripts/bench_networks.py [dit|rife] [--pairs 11] [--threads 2] [--vace] [--kind float32|bfloat16]

Wants a Python with torch 2.11.0; `dit` also diffusers 0.42.1, `rife` numpy. dit: the transformer beside diffusers; the net
is 512 wide and 12 layers deep, its weights are random, and it sees 4000 patches. rife: the embedded network beside the
wheel's own, two frames of 640x360 of tests/fixtures/clips. Nothing is asserted; the figures go into docs/performance.md with the machine they were taken
on. Where other work disturbs the clock, the processor's time tells more. Memory is the largest resident set during the
forwards: of the whole process, and above what it held before them.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PLACE = ROOT / "target/bench"
OURS = ["cargo", "run", "--release", "--quiet", "--example", "forwards", "--"]
NET, INPUTS = PLACE / "dit.safetensors", PLACE / "inputs.safetensors"
CONFIG = dict(
    num_attention_heads=4, attention_head_dim=128, in_channels=16, out_channels=16, text_dim=512, freq_dim=256,
    ffn_dim=2048, num_layers=12, cross_attn_norm=True, eps=1e-6, qk_norm="rms_norm_across_heads",
)
SIZE = [10, 40, 40]


def held(what):
    """Kilobytes, as Linux says."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what))


def diffusers(args):
    """Makes the files that both read, then runs a forward for each line it gets."""
    import torch
    from diffusers import WanTransformer3DModel, WanVACETransformer3DModel
    from safetensors.torch import save_file

    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    torch.manual_seed(1)
    config = CONFIG | (dict(vace_layers=[0, 4, 8], vace_in_channels=96) if args.vace else {})
    model = (WanVACETransformer3DModel if args.vace else WanTransformer3DModel)(**config).eval()
    for name, weight in model.named_parameters():
        if weight.ndim >= 2 and "table" not in name:
            torch.nn.init.normal_(weight, std=weight[0].numel() ** -0.5)
    inputs = dict(
        hidden_states=torch.randn(1, 16, *SIZE),
        timestep=torch.tensor([826.1]),
        encoder_hidden_states=torch.randn(1, 512, 512) * (torch.arange(512) < 40)[None, :, None],
    )
    if args.vace:
        inputs["control_hidden_states"] = torch.randn(1, 96, *SIZE)
        inputs["control_hidden_states_scale"] = torch.tensor([0.7, 1.0, 1.3])
    save_file(model.state_dict(), NET)
    save_file(inputs | dict(sample=model(**inputs, return_dict=False)[0]), INPUTS)

    kind = getattr(torch, args.kind)
    kept = ("time_embedder", "scale_shift_table", "norm1", "norm2", "norm3")  # as diffusers itself keeps them in f32
    for name, weight in model.named_parameters():
        if not any(part in name for part in kept):
            weight.data = weight.data.to(kind)
    inputs = {name: value if name == "timestep" else value.to(kind) for name, value in inputs.items()}
    serve(lambda: model(**inputs))


def wheel(args):
    """The same with the network as its wheel has it."""
    import torch
    from safetensors.torch import save_file

    sys.path.insert(0, str(ROOT / "tests/fixtures/rife"))
    import make_fixtures

    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    make_fixtures.R.net = make_fixtures.network()
    film = make_fixtures.film(640, 360)
    a, b = (make_fixtures.R.T(film[index]).contiguous() for index in (0, 10))
    ask = lambda: make_fixtures.R.rife(a, b)
    save_file(dict(a=a, b=b, between=ask().contiguous()), INPUTS)
    serve(ask)


def serve(work):
    work()
    open("/proc/self/clear_refs", "w").write("5")  # wipes the mark of the most that was held
    before = held("VmRSS")
    print("ready", flush=True)
    for _ in sys.stdin:
        start, busy = time.perf_counter(), time.process_time()
        work()
        seconds, busy = time.perf_counter() - start, time.process_time() - busy
        print(json.dumps(dict(seconds=seconds, busy=busy, before=before, peak=held("VmHWM"))), flush=True)


class Server:
    def __init__(self, command, threads, **more):
        quiet = {"OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | quiet | more
        )
        self.said = self.process.stdout.readline().strip()

    def run(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("net", nargs="?", default="dit", choices=["dit", "rife"])
    parser.add_argument("--pairs", type=int, default=11)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--vace", action="store_true")
    parser.add_argument("--kind", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--python", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.python:
        return (diffusers if args.net == "dit" else wheel)(args)

    PLACE.mkdir(parents=True, exist_ok=True)
    theirs = Server([sys.executable, str(pathlib.Path(__file__).resolve()), "--python", *sys.argv[1:]], args.threads)
    libtorch = os.environ.get("LIBTORCH", ROOT / ".libtorch/torch")
    words = ["dit", str(NET), str(INPUTS), args.kind] if args.net == "dit" else ["rife", str(INPUTS)]
    command = [*OURS, *words, str(args.threads)]
    ours = Server(command, args.threads, LD_LIBRARY_PATH=f"{libtorch}/lib")
    print(f"wanctl: {ours.said}")
    pairs = []
    for index in range(args.pairs):
        # Each goes first in turn.
        pair = [theirs.run(), ours.run()] if index % 2 else [ours.run(), theirs.run()][::-1]
        pairs.append(pair)
        print("  Python {:.3f} s, wanctl {:.3f} s".format(*(side["seconds"] for side in pair)), flush=True)
    for what, name in [("seconds", "time"), ("busy", "processor time")]:
        ratios = [ours[what] / theirs[what] for theirs, ours in pairs]
        print(f"{name}: median ratio {statistics.median(ratios):.3f}, {min(ratios):.3f} to {max(ratios):.3f}")
    for index, name in enumerate(["Python", "wanctl"]):
        last = pairs[-1][index]
        seconds = statistics.median(pair[index]["seconds"] for pair in pairs)
        peak, above = last["peak"] / 1024, (last["peak"] - last["before"]) / 1024
        print(f"{name}: {seconds:.3f} s, peak {peak:.0f} MB, {above:.0f} MB above the loaded net")


if __name__ == "__main__":
    main()
