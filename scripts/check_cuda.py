#!/usr/bin/env python3
"""Runs both engines under a CUDA that computes nothing (tests/fake_cuda), and checks what can be seen without a GPU.

    scripts/check_cuda.py [--quick] [--only WORD] [--keep]

--quick leaves out the models of published size. Each case has to end well. Further: no copy to the host and no wait for
the GPU between the first and the last product of a step; attention by the kernel that is meant for it; the memory that the
allocator reserves at its peak within 5 % of the estimate (`pipeline::memory`). Prints a table for docs/gpu.md.

Needs `cargo build --release --bins --examples`, ffmpeg, and libtorch with CUDA: .libtorch after `just setup-cuda`, or
LIBTORCH. No GPU, no Python packages.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILT = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
TINY = ROOT / "tests/fixtures/wan/tiny"
FIXTURES = ROOT / "tests/fixtures/wan"
# libtorch's kernels of attention, by what their names hold. cuDNN's has no kernel of libtorch's: in the part that
# denoises, cuDNN is called for nothing else.
ATTENTION = {"flash": "pytorch_flash::flash_fwd", "efficient": "fmha_cutlass", "cuDNN": "CUDNN"}
# What the estimate may be off by, either way.
BOUND = 0.05


class Case:
    """A run of wanctl. `attention`: the kernel of the transformer's, seen in every step; `note`: what it has to report;
    `twice`: a step is computed a second time, and what is copied for that is no fault."""

    def __init__(self, name, model, options, attention=None, note=None, env=None, exit=0, size=None, peaks=False, engine="wan", twice=False):
        self.name, self.model, self.options, self.engine = name, model, options, engine
        self.attention, self.note, self.env, self.exit, self.size, self.peaks = attention, note, env or {}, exit, size, peaks
        self.twice = twice


def tiny_cases(lora):
    dtypes = {"f32": "efficient", "bf16": "cuDNN", "f16": "cuDNN", "fp8": "cuDNN"}
    for dtype, attention in dtypes.items():
        for offload in ("none", "blocks"):
            yield Case(f"VACE {dtype} {offload}", "tiny", f"--dtype {dtype} --offload {offload}", attention)
    yield Case("VACE, no options", "tiny", "", "cuDNN")
    yield Case("VACE on an A100", "tiny", "", "flash", env={"FAKE_CUDA_CAPABILITY": "80"})
    yield Case("VACE, attention by flash", "tiny", "", "flash", env={"WANCTL_ATTENTION": "flash"})
    yield Case("VACE, cuDNN has no plan", "tiny", "", "flash", note="without cuDNN", twice=True, env={"FAKE_CUDA_FAIL": "attention"})
    yield Case("VACE, guidance", "tiny", "--guidance 4;3 --negative-prompt blurry --steps 4", "cuDNN")
    yield Case("VACE, noise on the device", "tiny", "--noise device", "cuDNN")
    yield Case("VACE, tiles", "tiny", "--vae-tile 128", "cuDNN", size="320x192")
    yield Case("VACE, LoRA merged", "tiny", f"--lora {lora}=0.8", "cuDNN")
    yield Case("VACE, LoRA beside the weights", "tiny", f"--lora {lora}=1;0 --steps 4", "cuDNN")
    yield Case("VACE, LoRA and fp8", "tiny", f"--lora {lora}=0.8 --dtype fp8", "cuDNN")
    yield Case("VACE, LoRA and blocks", "tiny", f"--lora {lora}=1;0 --steps 4 --offload blocks", "cuDNN")
    yield Case("I2V, two experts", "i2v-14b-small", "--steps 4", "cuDNN", size="128x96")
    yield Case("I2V, blocks", "i2v-14b-small", "--steps 4 --offload blocks", "cuDNN", size="128x96")
    yield Case("rife", None, "", engine="rife")
    yield Case("rife at 640x352", None, "", engine="rife", size="640x352")
    for engine, model in (("rife", None), ("wan", "tiny")):
        yield Case(f"{engine}, no kernels for the GPU: --device auto", model, "--device auto --dtype f32" if model else "--device auto", note="working on the CPU: CUDA cannot be used: CUDA error: no kernel image", env={"FAKE_CUDA_FAIL": "kernel"}, engine=engine)
        yield Case(f"{engine}, no kernels for the GPU: --device cuda", model, "", note="CUDA cannot be used: CUDA error: no kernel image", env={"FAKE_CUDA_FAIL": "kernel"}, exit=9, engine=engine)
    yield Case("rife, an old driver: --device auto", None, "--device auto", note="is for CUDA 12.4, and this libtorch needs CUDA 13.0", env={"FAKE_CUDA_FAIL": "count", "FAKE_CUDA_DRIVER": "12040"}, engine="rife")
    yield Case("rife, no such GPU", None, "--device cuda:3", note="there is no cuda:3", exit=9, engine="rife")
    yield Case("I2V, a GPU of 600 MiB", "i2v-14b-small", "--steps 4", exit=5, size="128x96", env={"FAKE_CUDA_MEMORY_MIB": "600"})


def published_cases():
    """81 frames at 832x480, with a quarter of the layers: each layer takes the same, and loading is what takes long."""
    options = "--context 8 --gap 65 --align exact --steps 2 --size 832x480"
    for model, dtype, offload, attention, more in (
        ("i2v-14b", "bf16", "none", "cuDNN", ""),
        ("i2v-14b", "bf16", "blocks", "cuDNN", ""),
        ("i2v-14b", "fp8", "none", "cuDNN", ""),
        ("vace-14b", "bf16", "none", "cuDNN", ""),
        ("vace-14b", "bf16", "blocks", "cuDNN", ""),
        ("vace-1.3b", "bf16", "none", "cuDNN", ""),
        ("vace-1.3b", "f16", "none", "cuDNN", "--guidance 5"),
        ("vace-1.3b", "f32", "none", "efficient", ""),
        ("vace-1.3b", "fp8", "blocks", "cuDNN", ""),
    ):
        yield Case(f"{model} {dtype} {offload}{' guided' if more else ''}", model, f"{options} --dtype {dtype} --offload {offload} {more or '--guidance 1'}", attention, peaks=True)
    yield Case("i2v-14b bf16 auto on 10 GB", "i2v-14b", f"{options} --dtype bf16 --guidance 1", "cuDNN", note="layers wait in the host's memory" , peaks=True, env={"FAKE_CUDA_MEMORY_MIB": "10240", "WANCTL_HOST_MEMORY": "128GB"})


class Check:
    def __init__(self, libtorch, folder):
        self.folder = folder
        self.wrong = []
        fake = folder / "fake"
        subprocess.run([ROOT / "tests/fake_cuda/build", libtorch, fake], check=True)
        # Events alone go on to wanctl.
        self.engine = folder / "engine"
        self.engine.write_text(
            "#!/bin/bash\nset -o pipefail\n"
            f"export LD_LIBRARY_PATH={fake}/driver:{libtorch}/lib LD_PRELOAD={fake}/libfake_cuda.so FAKE_CUDA_LOG=-\n"
            f"'{BUILT}/wanctl-engine' \"$@\" | LD_PRELOAD= tee -a '{folder}/log' | LD_PRELOAD= grep --line-buffered '^{{'\n"
        )
        self.engine.chmod(0o755)
        for clip in "ab":
            words = f"-v error -y -f lavfi -i testsrc2=s=48x32:r=16:d=2 -c:v ffv1 -pix_fmt bgr0 {folder}/{clip}.mkv"
            subprocess.run(["ffmpeg", *words.split()], check=True)

    def model(self, name):
        """The folder of a model; those of published size are made of holes."""
        if name == "tiny":
            return TINY
        folder = self.folder / "models" / name
        if not folder.exists():
            layers = ["2" if name.endswith("-small") else "10", "2"]
            subprocess.run([BUILT / "examples/published_model", name.removesuffix("-small"), folder, *layers], check=True)
            shutil.copy(TINY / "tokenizer/tokenizer.json", folder)
        return folder

    def run(self, case):
        (self.folder / "log").write_text("")
        runs = self.folder / "runs"
        shutil.rmtree(runs, ignore_errors=True)
        command = [BUILT / "wanctl", "join", self.folder / "a.mkv", self.folder / "b.mkv", "--engine", case.engine]
        if "--device" not in case.options:
            command += ["--device", "cuda:0"]
        if "--context" not in case.options:
            command += ["--context", "4", "--gap", "9"]
        if case.size:
            command += ["--size", case.size]
        if case.model:
            command += ["--model", self.model(case.model), "--prompt", "a boat"]
            command += [] if "--steps" in case.options else ["--steps", "2"]
        command += [*case.options.split(), "--keep", "--overwrite", "--work-dir", runs, "-o", self.folder / "film.mp4"]
        environment = os.environ | {"WANCTL_ENGINE": str(self.engine)} | case.env
        ended = subprocess.run([str(word) for word in command], env=environment, capture_output=True, text=True)
        self.judge(case, ended, next(runs.glob("*/seam_0*/result.json"), None))

    def judge(self, case, ended, result):
        wrong = []
        if ended.returncode != case.exit:
            wrong.append(f"exit {ended.returncode}, wanted {case.exit}: {' '.join(ended.stderr.split())[-400:]}")
        if case.note and case.note not in " ".join(ended.stderr.split()):
            wrong.append(f"wanted a line with `{case.note}`, found {' '.join(ended.stderr.split())[:400]}")
        steps = Steps(self.folder / "log")
        wrong += [] if case.twice else steps.wrong
        if case.attention and steps.attention != {case.attention}:
            wrong.append(f"attention by {sorted(steps.attention)}, wanted {case.attention}")
        peaks = ""
        if result and case.exit == 0:
            facts = json.loads(result.read_text())
            peak, estimate = dict(facts.get("part_peaks", [])), dict(facts.get("part_estimates", []))
            # An expert is loaded into the memory in which it works.
            if "denoise" in estimate:
                estimate["load"] = estimate["denoise"]
            parts = [(part, peak[part], estimate[part]) for part in peak if part in estimate]
            peaks = ", ".join(f"{part} {a / 1e9:.2f} of {b / 1e9:.2f}" for part, a, b in parts) if case.peaks else ""
            for part, a, b in parts if case.peaks else []:
                # Less is wrong of the largest part alone: prompts are mostly short, and loading comes before computing.
                if a > b * (1 + BOUND) or part == "denoise" and a < b * (1 - BOUND):
                    wrong.append(f"{part} reserved {a / 1e9:.2f} GB, and {b / 1e9:.2f} GB was estimated")
        self.wrong += [f"{case.name}: {text}" for text in wrong]
        kernels = f"{steps.kernels} kernels a step, " if steps.kernels else ""
        attention = f"attention by {'/'.join(sorted(steps.attention))}" if steps.attention else ""
        print(f"| {case.name} | {'; '.join(wrong) or 'ok'} | {kernels}{attention} | {peaks} |", flush=True)


    def figures(self):
        """A dry run of scripts/gpu_figures.py: what it packs is small enough, and every stage but those that need this
        Python's torch ends."""
        folder, stages = self.folder / "gpu", ["machine", "tiny", "model", "bf16", "flash", "workspace", "fp8", "blocks", "f32"]
        script = ROOT / "scripts/gpu_figures.py"
        packed = subprocess.run([script, "pack", folder, "--layers", "2", "--size", "256x160", "--frames", "21"], capture_output=True, text=True)
        command = [sys.executable, folder / "gpu_figures.py", "run", "--out", folder / "out", "--engine", self.engine, "--holes", "--place", folder / "weights", "--stages", ",".join(stages)]
        ran = subprocess.run(command, capture_output=True, text=True) if packed.returncode == 0 else packed
        log = folder / "out/figures.jsonl"
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        wrong = [line for line in lines if "failed" in line or "skipped" in line]
        missing = [stage for stage in stages if not any(line["what"].split(":")[0] == stage for line in lines)]
        text = "ok" if not wrong and not missing and ran.returncode == 0 else f"wrong {wrong}, missing {missing}: {packed.stderr[-300:]}{ran.stderr[-600:]}"
        if text != "ok":
            self.wrong.append(f"gpu_figures: {text}")
        print(f"| gpu-figures, dry run | {text} | {len(lines)} figures | |", flush=True)


class Steps:
    """What the log says of the steps of denoising: between a step's first product and its last, nothing may be copied to
    the host, and the host may not wait for the GPU."""

    def __init__(self, log):
        self.wrong, self.attention, self.kernels = [], set(), 0
        denoising, step = False, []
        for line in log.open(errors="replace"):
            if line.startswith("{"):
                event = json.loads(line)
                if event.get("type") == "part":
                    denoising = event["part"] == "denoise"
                    step = []
                elif event.get("type") == "progress" and denoising and not event.get("share"):
                    self.step(step)
                    step = []
            elif denoising:
                step.append(line)

    def step(self, lines):
        products = [index for index, line in enumerate(lines) if line.startswith("GEMM")]
        if not products:
            return
        forward = lines[products[0] : products[-1]]
        for line in forward:
            if line.startswith("COPY D2H") or line.startswith("WAIT"):
                self.wrong.append(f"within a step: {line.strip()[:80]}")
                break
        self.attention |= {name for name, kernel in ATTENTION.items() if any(kernel in line for line in forward)}
        self.kernels = sum(line.startswith(("KERNEL", "GEMM", "CUDNN")) for line in forward)


def libtorch():
    for place in (os.environ.get("LIBTORCH"), ROOT / ".libtorch/torch"):
        if place and (pathlib.Path(place) / "lib/libtorch_cuda.so").exists():
            return pathlib.Path(place).resolve()
    sys.exit("check_cuda: wanted libtorch with CUDA in .libtorch or LIBTORCH, found none; run `just setup-cuda`")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="without the models of published size")
    parser.add_argument("--only", default="", metavar="WORD", help="cases whose name has the word")
    parser.add_argument("--keep", metavar="FOLDER", help="work there, and leave the logs")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wanctl-check-cuda-") as folder:
        folder = pathlib.Path(args.keep or folder).resolve()
        folder.mkdir(exist_ok=True)
        check = Check(libtorch(), folder)
        print("| case | | step | peak reserved, of the estimate (GB) |\n| --- | --- | --- | --- |")
        cases = [*tiny_cases(FIXTURES / "lora_diffusers.safetensors")]
        cases += [] if args.quick else published_cases()
        count = 0
        for case in cases:
            if args.only in case.name:
                check.run(case)
                count += 1
        if args.only in "gpu-figures":
            check.figures()
            count += 1
    for text in check.wrong:
        print(f"check_cuda: {text}", file=sys.stderr)
    print(f"{count} cases, {len(check.wrong)} faults")
    sys.exit(1 if check.wrong or not count else 0)


if __name__ == "__main__":
    main()
