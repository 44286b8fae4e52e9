#!/usr/bin/env python3
"""Runs the engine on a GPU and says what it found: frames beside diffusers', seconds and memory of a model of full size.

    scripts/gpu.py prepare                writes the jobs into .gpu/ (wants ffmpeg and `cargo build --release`)
    scripts/gpu.py test  [--device cuda]  the tests' tiny joins in f32 and bf16, held to diffusers' frames
    scripts/gpu.py bench [--device cuda] [--model vace-14b|i2v-14b|vace-1.3b|small] [--job 81|53] [--steps 4]
                         [--dtype bf16] [--offload none|blocks] [--attention flash|cudnn] [--text-layers 1] [--place .gpu]
                         [--diffusers]

`prepare` runs where the project is built; `.gpu`, `target/release/wanctl-engine` and this script are all that the GPU's
machine needs, and a Python with torch 2.11.0, safetensors, numpy and, for --diffusers, diffusers 0.42.1. The engine finds that
torch's libraries. Weights are random numbers of the published shapes, written tensor by tensor: 35 GB for vace-14b. Nothing is
asserted but the frames of `test`; the figures go into docs/gpu.md with the machine.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
ENGINE = ROOT / "target/release/wanctl-engine"
TINY = ROOT / "tests/fixtures/wan/tiny"
PLACE = ROOT / ".gpu"
# Width, layers, feed-forward, input channels, a VACE block every so many layers.
MODELS = {
    "vace-14b": (5120, 40, 13824, 16, 5),
    "i2v-14b": (5120, 40, 13824, 36, None),
    "vace-1.3b": (1536, 30, 8960, 16, 2),
    "small": (256, 4, 512, 16, 2),
}
# Context and gap of a join in exact alignment, and its size.
JOBS = {"81": (8, 65, "832x480"), "53": (10, 33, "832x480"), "17": (4, 9, "256x160")}


# ---------------------------------------------------------------- jobs


def prepare(_args):
    """wanctl itself writes the jobs; the engine that it is given does nothing, so that they stay undone."""
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir()
    clips = [ROOT / "tests/fixtures/clips" / name for name in ("bunny_a.mp4", "bunny_b.mp4")]
    for name, (context, gap, size) in JOBS.items():
        write_job(name, clips, context, gap, "--size", size, "--steps", "4", "--guidance", "1")
    frames = safetensors(ROOT / "tests/fixtures/wan/join.safetensors")
    for clip in "ab":
        words = "-v error -y -f rawvideo -pix_fmt rgb24 -s 48x32 -r 16 -i - -c:v ffv1 -pix_fmt bgr0".split()
        subprocess.run(["ffmpeg", *words, PLACE / f"{clip}.mkv"], input=frames[f"in.{clip}"].tobytes(), check=True)
    for case in json.loads((ROOT / "tests/fixtures/wan/join.json").read_text()):
        words = [word for name in ("steps", "shift", "seed") for word in (f"--{name}", str(case[name]))]
        words += ["--mode", case.get("mode", "insert"), "--guidance", ";".join(map(str, case["guidance"]))]
        words += ["--prompt", case["prompt"], "--negative-prompt", case["negative"]]
        tiny = [TINY]
        if case["experts"] == 1:
            tiny = [TINY / part for part in ("transformer", "vae", "text_encoder", "tokenizer/tokenizer.json")]
        job = write_job(case["name"], [PLACE / "a.mkv", PLACE / "b.mkv"], case["context"], case["gap"], *words, models=tiny)
        np.save(job / "wanted.npy", frames[f"out.{case['name']}"])
    print(f"{len(list(PLACE.glob('*/request.json')))} jobs in {PLACE}")


def write_job(name, clips, context, gap, *words, models=(TINY,)):
    runs = PLACE / "runs"
    command = [ROOT / "target/release/wanctl", "join", *clips, "--engine", "wan", "--align", "exact", "--context", context, "--gap", gap]
    command += [*words, "--work-dir", runs, "--quiet", "-o", PLACE / "none.mp4"]
    for model in models:
        command += ["--model", model]
    environment = os.environ | {"WANCTL_ENGINE": shutil.which("false")}
    ended = subprocess.run([str(word) for word in command], env=environment, capture_output=True, text=True)
    (folder,) = runs.glob("*/seam_00")
    assert (folder / "request.json").exists(), ended.stderr
    shutil.move(folder, PLACE / name)
    shutil.rmtree(runs)
    return PLACE / name


def run(name, place, device, change, attention=None):
    """Does a job with some of its request changed; its result, and the frames made."""
    folder = place / f"{name}-run"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(PLACE / name, folder)
    request = json.loads((folder / "request.json").read_text())
    change(request["maker"]["wan"])
    (folder / "request.json").write_text(json.dumps(request))
    import torch

    libraries = pathlib.Path(torch.__file__).parent / "lib"
    environment = os.environ | {"OMP_WAIT_POLICY": "passive"}
    if "LIBTORCH" not in os.environ and device != "cpu":
        environment["LD_LIBRARY_PATH"] = f"{libraries}:{os.environ.get('LD_LIBRARY_PATH', '')}"
    if attention:
        environment["WANCTL_ATTENTION"] = attention
    with open(folder / "said", "w") as said:
        ended = subprocess.run([ENGINE, "--device", device, folder], env=environment, stdout=said, stderr=subprocess.STDOUT)
    if ended.returncode:
        sys.exit(f"the engine ended with {ended.returncode}:\n{(folder / 'said').read_text()[-2000:]}")
    result = json.loads((folder / "result.json").read_text())
    made = safetensors(folder / "made.safetensors")["frames"]
    shutil.rmtree(folder)
    return result, made


def safetensors(path):
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    kinds = {"U8": np.uint8, "F16": np.float16, "F32": np.float32}
    place = lambda entry: slice(*(8 + length + offset for offset in entry["data_offsets"]))
    entries = {name: entry for name, entry in header.items() if name != "__metadata__" and entry["dtype"] in kinds}
    return {name: np.frombuffer(data[place(entry)], kinds[entry["dtype"]]).reshape(entry["shape"]) for name, entry in entries.items()}


# ---------------------------------------------------------------- test


def test(args):
    """f32 is held to the bound of the tests on the CPU, and layers that are brought one by one to the bytes of those that stay:
    a stream that does not wait would show there. bf16 is only told: these nets are random, and no picture."""
    wrong = 0
    for path in sorted(PLACE.glob("*/wanted.npy")):
        wanted = np.load(path).astype(int)
        stays = None
        for dtype, offload in (("f32", "none"), ("f32", "blocks"), ("bf16", "none")):

            def change(wan):
                wan |= dict(dtype=dtype, offload=offload)
                moved(wan["models"])

            _, made = run(path.parent.name, PLACE, args.device, change)
            off = abs(made.astype(int) - wanted)
            bad = dtype == "f32" and (off.max() > 2 or off.mean() > 0.05)
            stays = made if stays is None else stays
            bad |= offload == "blocks" and not np.array_equal(made, stays)
            wrong += bad
            print(f"{path.parent.name:20} {dtype:5} {offload:6} at most {off.max():3d}, {off.mean():.4f} in the mean{'  WRONG' if bad else ''}", flush=True)
    sys.exit(f"{wrong} cases are not diffusers' frames" if wrong else None)


def moved(models):
    """The tiny model lies elsewhere on another machine."""
    here = lambda path: str(ROOT / path[path.index("tests/fixtures/wan") :])
    for part in ("high", "low", "vae", "text"):
        models[part] = [here(path) for path in models[part]]
    models["tokenizer"] = here(models["tokenizer"])


# ---------------------------------------------------------------- bench


def shapes(model):
    """As diffusers names them."""
    dim, layers, ffn, channels, every = MODELS[model]
    out = {"patch_embedding": [dim, channels, 1, 2, 2], "proj_out": [64, dim]}
    place = "condition_embedder"
    out |= {f"{place}.text_embedder.linear_1": [dim, 4096], f"{place}.text_embedder.linear_2": [dim, dim]}
    out |= {f"{place}.time_embedder.linear_1": [dim, 256], f"{place}.time_embedder.linear_2": [dim, dim], f"{place}.time_proj": [6 * dim, dim]}
    tables = {"scale_shift_table": [1, 2, dim]}
    blocks = [f"blocks.{index}" for index in range(layers)]
    if every:
        hints = [f"vace_blocks.{index}" for index in range(len(range(0, layers, every)))]
        out |= {"vace_patch_embedding": [dim, 96, 1, 2, 2], "vace_blocks.0.proj_in": [dim, dim]}
        out |= {f"{block}.proj_out": [dim, dim] for block in hints}
        blocks += hints
    norms = []
    for block in blocks:
        tables[f"{block}.scale_shift_table"] = [1, 6, dim]
        for attention in ("attn1", "attn2"):
            out |= {f"{block}.{attention}.{part}": [dim, dim] for part in ("to_q", "to_k", "to_v", "to_out.0")}
            norms += [f"{block}.{attention}.norm_q", f"{block}.{attention}.norm_k"]
        out |= {f"{block}.norm2": [dim], f"{block}.ffn.net.0.proj": [ffn, dim], f"{block}.ffn.net.2": [dim, ffn]}
    named = dict(tables) | {f"{name}.weight": [dim] for name in norms}
    for name, shape in out.items():
        named |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return named


def random_model(named, path):
    """bf16 numbers of unit gain, a tensor at a time."""
    import torch

    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    end, header = 0, {}
    for name, shape in named.items():
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    torch.manual_seed(0)
    with open(path.with_suffix(".part"), "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in named.items():
            numbers = torch.empty(shape, dtype=torch.bfloat16).normal_()
            norm = "norm" in name and name.endswith("weight")
            numbers = 1 + 0.1 * numbers if norm else numbers * (0.05 if len(shape) == 1 else (shape[0] / numbers.numel()) ** 0.5)
            file.write(numbers.bfloat16().view(torch.int16).numpy().tobytes())
    path.with_suffix(".part").rename(path)


def text_shapes(layers):
    """umT5-XXL, as transformers names it, with so many of its 24 layers and the words of the tests' tokenizer."""
    words = json.loads((TINY / "tokenizer/tokenizer.json").read_text())["model"]["vocab"]
    named = {"shared.weight": [len(words), 4096], "encoder.final_layer_norm.weight": [4096]}
    for block in (f"encoder.block.{index}.layer" for index in range(layers)):
        named |= {f"{block}.0.SelfAttention.{part}.weight": [4096, 4096] for part in "qkvo"}
        named |= {f"{block}.0.SelfAttention.relative_attention_bias.weight": [32, 64]}
        named |= {f"{block}.1.DenseReluDense.{part}.weight": [10240, 4096] for part in ("wi_0", "wi_1")}
        named |= {f"{block}.1.DenseReluDense.wo.weight": [4096, 10240]}
        named |= {f"{block}.{part}.layer_norm.weight": [4096] for part in (0, 1)}
    return named


def random_rest(folder, text_layers):
    """The VAE at its published size, and some layers of the text encoder: it reads one short prompt, and is no part of the figures."""
    import torch

    random_model(text_shapes(text_layers), folder / f"text{text_layers}/model.safetensors")
    if not (folder / "vae").exists():
        import diffusers

        torch.manual_seed(0)
        diffusers.AutoencoderKLWan().save_pretrained(folder / "vae")


def flops(model, patches):
    """wan-model.md 7.1: multiply-add is two."""
    dim, layers, ffn, _, every = MODELS[model]
    blocks = layers + (len(range(0, layers, every)) if every else 0)
    return blocks * (patches * 2 * (6 * dim**2 + 2 * dim * ffn) + 4 * patches**2 * dim + 4 * 512 * dim**2 + 4 * patches * 512 * dim)


def bench(args):
    place = pathlib.Path(args.place).resolve()
    folder = place / "models" / args.model
    for other in (place / "models").glob("*"):
        # One at a time: the disk of such a machine may hold 64 GB.
        if other.name in MODELS and other.name != args.model:
            shutil.rmtree(other)
    start = time.perf_counter()
    random_model(shapes(args.model), folder / "diffusion_pytorch_model.safetensors")
    random_rest(place / "models", args.text_layers)
    print(f"{args.model}: {(folder / 'diffusion_pytorch_model.safetensors').stat().st_size / 1e9:.1f} GB, made in {time.perf_counter() - start:.0f} s")
    dim, layers, ffn, channels, every = MODELS[args.model]

    def change(wan):
        rest = place / "models"
        vace = {"layers": list(range(0, layers, every)), "in_channels": 96} if every else None
        facts = dict(dim=dim, heads=dim // 128, head_dim=128, layers=layers, ffn=ffn, in_channels=channels, out_channels=16)
        facts |= dict(text_dim=4096, freq_dim=256, vace=vace, image=None)
        wan["models"] |= dict(high=[str(folder)], low=[], vae=[str(rest / "vae")], text=[str(rest / f"text{args.text_layers}")], transformer=facts)
        wan["models"]["tokenizer"] = str(TINY / "tokenizer/tokenizer.json")
        wan["steps"] = [step | {"expert": "high", "guidance": 1.0} for step in wan["steps"][: args.steps]]
        wan |= dict(dtype=args.dtype, offload=args.offload)

    result, made = run(args.job, place, args.device, change, args.attention)
    parts = dict(result["parts"])
    frames, height, width = made.shape[:3]
    patches = ((frames - 1) // 4 + 1) * (height // 16) * (width // 16)
    seconds = parts["denoise"] / args.steps
    work = flops(args.model, patches)
    print(f"{args.job}: {frames} frames of {width}x{height}, {patches} patches, {args.dtype}, offload {args.offload}, on {result['device']}")
    print(f"  wanctl: {seconds:.2f} s a forward, {work / seconds / 1e12:.2f} TFLOP/s, the process at its peak {result['peak_memory_bytes'] / 1e9:.1f} GB")
    if "peak_device_bytes" in result:
        print(f"  on the GPU at its peak {result['peak_device_bytes'] / 1e9:.1f} GB")
    print("  " + ", ".join(f"{part} {value:.1f} s" for part, value in parts.items()))
    if args.diffusers:
        theirs(args, folder, patches, (frames, height, width), work)


def theirs(args, folder, patches, video, work):
    """The same tensors in diffusers, one forward after the other."""
    import torch
    from diffusers import WanTransformer3DModel, WanVACETransformer3DModel
    from safetensors import safe_open

    dim, layers, ffn, channels, every = MODELS[args.model]
    config = dict(num_attention_heads=dim // 128, attention_head_dim=128, in_channels=channels, out_channels=16, text_dim=4096, freq_dim=256)
    config |= dict(ffn_dim=ffn, num_layers=layers, cross_attn_norm=True, eps=1e-6, qk_norm="rms_norm_across_heads")
    kind = torch.float32 if args.dtype == "f32" else torch.bfloat16
    device = torch.device(args.device)
    torch.set_default_dtype(kind)
    with device:
        model = WanVACETransformer3DModel(**config, vace_layers=list(range(0, layers, every)), vace_in_channels=96) if every else WanTransformer3DModel(**config)
    with safe_open(folder / "diffusion_pytorch_model.safetensors", "pt", device=str(device)) as file:
        state = {name: file.get_tensor(name).to(kind) for name in file.keys()}
    torch.set_default_dtype(torch.float32)
    model.load_state_dict(state, assign=True)
    model.eval()
    frames, height, width = video
    grid = ((frames - 1) // 4 + 1, height // 8, width // 8)
    inputs = dict(hidden_states=torch.randn(1, channels, *grid), encoder_hidden_states=torch.randn(1, 512, 4096), timestep=torch.tensor([800.0]))
    if every:
        inputs |= dict(control_hidden_states=torch.randn(1, 96, *grid), control_hidden_states_scale=torch.ones(len(range(0, layers, every))))
    inputs = {name: value.to(device, kind if value.ndim > 1 else None) for name, value in inputs.items()}
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    taken = []
    with torch.inference_mode():
        for _ in range(args.steps + 1):
            wait()
            start = time.perf_counter()
            model(**inputs)
            wait()
            taken.append(time.perf_counter() - start)
    seconds = sorted(taken[1:])[(len(taken) - 1) // 2]
    peak = f", {torch.cuda.max_memory_allocated() / 1e9:.1f} GB" if device.type == "cuda" else ""
    print(f"  diffusers: {seconds:.2f} s a forward, {work / seconds / 1e12:.2f} TFLOP/s{peak}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["prepare", "test", "bench"])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--model", default="vace-14b", choices=MODELS)
    parser.add_argument("--job", default="81", choices=JOBS)
    parser.add_argument("--steps", type=int, default=4, choices=range(1, 5))
    parser.add_argument("--dtype", default="bf16")
    parser.add_argument("--offload", default="none")
    parser.add_argument("--attention", choices=["flash", "cudnn", "efficient", "plain"], help="the kernel that is tried first")
    parser.add_argument("--text-layers", type=int, default=1, choices=range(1, 25), metavar="N", help="of the text encoder; it has 24")
    parser.add_argument("--place", default=PLACE)
    parser.add_argument("--diffusers", action="store_true")
    args = parser.parse_args()
    {"prepare": prepare, "test": test, "bench": bench}[args.what](args)


if __name__ == "__main__":
    main()
