#!/usr/bin/env python3
"""Measures a Wan join by wanctl beside the same by diffusers: pairs of whole commands, one after the other.

    scripts/bench_wan.py [--python PYTHON] [--model FOLDER] [--size 48x32] [--context 4] [--gap 5] [--steps 4] [--pairs N]

PYTHON has torch 2.11.0, diffusers 0.42.1, transformers 5.23.0 and ftfy. Both start from two lossless clips, load the
folder, encode the prompts, make the frames and write them without loss; what is made must be equal. The default folder
is the tests' own: it measures everything but the arithmetic. Nothing is asserted about time; memory is the peak of the
proportional set sizes of the process tree. The figures go into docs/performance.md.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import bench

PROMPT, NEGATIVE = "a red balloon rises over the quiet harbour at dawn", "blurry, low quality, static frame"
SEED, SHIFT = 2, 7
RAW = ["-f", "rawvideo", "-pix_fmt", "rgb24"]


def read(path, width, height):
    """The frames of a file as bytes."""
    raw = subprocess.run(bench.QUIET + ["-i", path, *RAW, "-"], capture_output=True, check=True).stdout
    step = width * height * 3
    return [raw[i : i + step] for i in range(0, len(raw), step)]


def write(path, frames, width, height):
    size = ["-video_size", f"{width}x{height}", "-framerate", "16"]
    command = bench.QUIET + ["-f", "rawvideo", "-pixel_format", "rgb24", *size, "-i", "-", "-c:v", "ffv1", "-pix_fmt", "gbrp", path]
    subprocess.run(command, input=b"".join(frames), check=True)


def clips(width, height, count):
    """Two clips of the tests' frames, made larger and repeated to and fro."""
    paths = []
    for name in "ab":
        path = bench.PLACE / f"wan_{name}_{width}x{height}_{count}.mkv"
        paths.append(path)
        if path.exists():
            continue
        fixture = (bench.ROOT / "tests/fixtures/wan/join.safetensors").read_bytes()
        start = 8 + int.from_bytes(fixture[:8], "little")
        entry = json.loads(fixture[8:start])[f"in.{name}"]
        raw = fixture[start + entry["data_offsets"][0] : start + entry["data_offsets"][1]]
        step = len(raw) // entry["shape"][0]
        frames = [raw[i : i + step] for i in range(0, len(raw), step)]
        turn = frames + frames[-2:0:-1]
        small = bench.PLACE / "wan_small.mkv"
        write(small, [turn[i % len(turn)] for i in range(count)], entry["shape"][2], entry["shape"][1])
        scale = ["-vf", f"scale={width}:{height}:flags=bicubic", "-c:v", "ffv1", "-pix_fmt", "gbrp"]
        subprocess.run(bench.QUIET + ["-i", small, *scale, path], check=True)
    return paths


def diffusers(args):
    """The other side of a pair: one whole run, in a process of its own."""
    import numpy as np
    import torch
    from diffusers import UniPCMultistepScheduler, WanVACEPipeline

    torch.set_num_threads(args.threads)
    a, b = (read(path, args.width, args.height) for path in args.clips)
    frames = np.frombuffer(b"".join(a[-args.context :] + b[: args.context]), np.uint8)
    frames = frames.reshape(-1, args.height, args.width, 3).astype(np.float32) / 255
    grey = np.full((args.gap, args.height, args.width, 3), 0.5, np.float32)
    video = np.concatenate([frames[: args.context], grey, frames[args.context :]])
    video = torch.from_numpy(video).permute(0, 3, 1, 2)[None]
    mask = torch.zeros_like(video)
    mask[:, args.context : args.context + args.gap] = 1
    pipeline = WanVACEPipeline.from_pretrained(args.model, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = UniPCMultistepScheduler.from_config(pipeline.scheduler.config, flow_shift=float(SHIFT))
    low = {"guidance_scale_2": 1.5} if pipeline.config.boundary_ratio is not None else {}
    made = pipeline(
        prompt=PROMPT, negative_prompt=NEGATIVE, video=video, mask=mask, height=args.height, width=args.width, num_frames=video.shape[1],
        num_inference_steps=args.steps, guidance_scale=3.0, generator=torch.Generator("cpu").manual_seed(SEED), max_sequence_length=512, **low,
    ).frames[0]  # fmt: skip
    write(args.output, [frame.tobytes() for frame in (made * 255).round().astype(np.uint8)], args.width, args.height)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--model", default=bench.ROOT / "tests/fixtures/wan/tiny", type=pathlib.Path)
    parser.add_argument("--size", default="48x32")
    parser.add_argument("--context", type=int, default=4)
    parser.add_argument("--gap", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--diffusers", dest="clips", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--output", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.width, args.height = map(int, args.size.split("x"))
    if args.clips:
        return diffusers(args)
    if not bench.WANCTL.exists():
        sys.exit(f"{bench.WANCTL} is missing; cargo build --release makes it")
    bench.PLACE.mkdir(parents=True, exist_ok=True)
    os.environ |= {"WANCTL_WORK_DIR": str(bench.PLACE / "runs"), "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
    a, b = clips(args.width, args.height, max(10, args.context))
    film, piece, other = (bench.PLACE / name for name in ("wan_film.mkv", "wan_piece.mkv", "wan_diffusers.mkv"))
    shape = ["--context", args.context, "--gap", args.gap, "--steps", args.steps, "--threads", args.threads]
    two = (args.model / "transformer_2").exists()
    ours = [bench.WANCTL, "join", a, b, "--engine", "wan", "--model", args.model, "--device", "cpu", "--dtype", "f32", "--align", "exact",
            "--mode", "insert", *shape, "--shift", SHIFT, "--guidance", "3;1.5" if two else "3", "--seed", SEED, "--prompt", PROMPT,
            "--negative-prompt", NEGATIVE, "--lossless", "--transition", piece, "-o", film, "--overwrite", "-q"]  # fmt: skip
    theirs = [args.python, pathlib.Path(__file__).resolve(), "--diffusers", a, b, "--model", args.model, "--size", args.size, *shape, "--output", other]
    both = [(bench.run([ours]), bench.run([theirs])) for _ in range(args.pairs)]

    made, wanted = (read(path, args.width, args.height) for path in (piece, other))
    steps = [abs(x - y) for one, two in zip(made, wanted) for x, y in zip(one, two)]
    print(f"{len(made)} frames against {len(wanted)}: at most {max(steps)} of 255 apart, {statistics.fmean(steps):.4f} in the mean")
    for what, unit, place in (("time", "s", 0), ("peak memory", "MB", 1)):
        mine, its = ([side[place] for side in sides] for sides in zip(*both))
        ratios = [x / y for x, y in zip(mine, its)]
        print(
            f"{what}: wanctl {statistics.median(mine):.2f} {unit}, diffusers {statistics.median(its):.2f} {unit}, "
            f"ratio {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}) over {args.pairs} pairs"
        )


if __name__ == "__main__":
    main()
