#!/usr/bin/env python3
"""Measures wanctl beside plain ffmpeg: pairs of runs, one after the other, and the median of their ratios.

    scripts/bench.py [start] [guide] [rife] [join] [long] [--pairs N]

Nothing is asserted; the figures go into docs/performance.md with the machine they were taken on. Material is made once
from the project's own clips, in target/bench. Memory is the sum of the proportional set sizes (PSS) of the whole
process tree, sampled every 10 ms.
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLIPS = ROOT / "tests/fixtures/clips"
PLACE = ROOT / "target/bench"
WANCTL = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release/wanctl"
QUIET = ["ffmpeg", "-v", "error", "-nostdin", "-y"]


def clip(name, size, seconds):
    """A long clip of real frames, with sound, GOPs of 250 as x264 makes them."""
    path = PLACE / f"{name}_{size}_{seconds}s.mp4"
    if path.exists():
        return path
    source = CLIPS / f"bunny_{name}.mp4"
    minute = PLACE / f"{name}_{size}_minute.mp4"
    if not minute.exists():
        print(f"making {minute.name}", file=sys.stderr)
        coding = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-c:a", "aac", "-ar", "48000"]
        loop = ["-stream_loop", "-1", "-i", source, "-t", "60", "-vf", f"scale={size.replace('x', ':')},setsar=1"]
        subprocess.run(QUIET + loop + coding + [minute], check=True)
    # Longer ones repeat the minute without another encode.
    turns = PLACE / "turns.txt"
    turns.write_text(f"file '{minute}'\nduration 60\n" * (seconds // 60))
    subprocess.run(QUIET + ["-f", "concat", "-safe", "0", "-i", turns, "-c", "copy", path], check=True)
    return path


def tree(pid):
    yield pid
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                yield from tree(int(child))
    except OSError:
        pass


def pss(pid):
    try:
        lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0


def run(commands):
    """Runs commands one after the other; seconds and peak megabytes of the process tree."""
    peak, begun = 0, time.perf_counter()
    for command in commands:
        child = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        said = []
        reader = threading.Thread(target=lambda: said.append(child.stderr.read()))
        reader.start()
        while child.poll() is None:
            peak = max(peak, sum(pss(pid) for pid in tree(child.pid)))
            time.sleep(0.01)
        reader.join()
        if child.returncode:
            sys.exit(f"{command}\n{said[0].decode()}")
    return time.perf_counter() - begun, peak / 1024


def timed(command):
    """For what takes milliseconds: no sampling beside it."""
    begun = time.perf_counter()
    subprocess.run([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def row(name, ours, theirs, note=""):
    ratios = [a / b for a, b in zip(ours, theirs)]
    print(
        f"| {name} | {statistics.median(ours):.3f} | {statistics.median(theirs):.3f} | {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f}) | {note} |",
        flush=True,
    )


def guide(pairs):
    for seconds in (60, 600):
        a, b = clip("a", "1280x720", seconds), clip("b", "1280x720", seconds)
        out = PLACE / "guide"
        raw = [PLACE / "left.rgb", PLACE / "right.rgb"]
        to_rgb = ["-f", "rawvideo", "-pix_fmt", "rgb24"]
        frames = 9 / 25
        floor = [
            QUIET + ["-ss", f"{seconds - frames:.3f}", "-i", a, "-an", "-frames:v", "9"] + to_rgb + [raw[0]],
            QUIET + ["-i", b, "-an", "-frames:v", "8"] + to_rgb + [raw[1]],
        ]
        # The grey and the mask are ffmpeg's own sources; the contexts come from the files just made.
        video = ["-f", "rawvideo", "-pixel_format", "rgb24", "-video_size", "1280x720", "-framerate", "25"]
        coding = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "6", "-pix_fmt", "yuv420p"]
        flat = lambda colour, count: ["-f", "lavfi", "-i", f"color={colour}:s=1280x720:r=25:d={count / 25}"]
        floor += [
            QUIET + video + ["-i", raw[0]] + flat("gray", 52) + video + ["-i", raw[1], "-filter_complex", "concat=n=3"] + coding
            + [PLACE / "floor_guide.mp4"],
            QUIET + flat("black", 9) + flat("white", 52) + flat("black", 8) + ["-filter_complex", "concat=n=3"] + coding
            + [PLACE / "floor_mask.mp4"],
        ]
        ours = [[WANCTL, "guide", a, b, "-o", out, "--overwrite", "-q"]]
        both = [(run(ours), run(floor)) for _ in range(pairs)]
        peak = max(memory for (_, memory), _ in both)
        name = f"guide, two clips of {seconds} s, 1280x720, against four ffmpeg commands"
        row(name, [o for (o, _), _ in both], [t for _, (t, _) in both], f"peak {peak:.0f} MB")


def join(pairs):
    a, b = clip("a", "854x480", 120), clip("b", "854x480", 120)
    film, piece = PLACE / "film.mp4", PLACE / "piece.mp4"
    dissolve = [WANCTL, "join", "--engine", "dissolve", "--overwrite", "-q"]
    small = dissolve + [CLIPS / "bunny_a.mp4", CLIPS / "bunny_b.mp4", "--size", "854x480", "-o", PLACE / "small.mp4", "--transition", piece]
    subprocess.run(small, check=True, stdout=subprocess.DEVNULL)
    graph = "[0:v][1:v][2:v]concat=n=3[v];[0:a][2:a]concat=n=2:v=0:a=1[a]"
    theirs = [QUIET + ["-i", a, "-i", piece, "-i", b, "-filter_complex", graph, "-map", "[v]", "-map", "[a]", "-c:v", "libx264",
                       "-preset", "medium", "-crf", "14", "-c:a", "aac", "-b:a", "192k", "-movflags", "+faststart", PLACE / "transcode.mp4"]]
    both = []
    for _ in range(pairs):
        whole = run([dissolve + [a, b, "-o", film]])
        verifying = run([QUIET + ["-xerror", "-i", film, "-map", "0", "-f", "null", "-"]])
        both.append((whole, verifying, run(theirs)))
    checks = statistics.median(v for _, (v, _), _ in both)
    peaks = [max(memory for (_, memory), _, _ in both), max(memory for _, _, (_, memory) in both)]
    note = f"peak {peaks[0]:.0f} MB, ffmpeg's {peaks[1]:.0f}; the check, timed apart, {checks:.1f} s"
    name = "join --engine dissolve, two clips of 120 s, 854x480, less its check, against one transcode"
    row(name, [o - v for (o, _), (v, _), _ in both], [t for _, _, (t, _) in both], note)


def long(_):
    """For the memory only: a run five times as long."""
    a, b = clip("a", "854x480", 600), clip("b", "854x480", 600)
    seconds, peak = run([[WANCTL, "join", a, b, "--engine", "dissolve", "-o", PLACE / "film.mp4", "--overwrite", "-q"]])
    print(f"| join --engine dissolve, two clips of 600 s, 854x480, its check included | {seconds:.1f} | | | peak {peak:.0f} MB |", flush=True)


def rife(pairs):
    """A default replace join of the fixtures: 33 frames for the engine, 16 of them made; and the engine's memory at 720p."""
    join = [WANCTL, "join", CLIPS / "bunny_a.mp4", CLIPS / "bunny_b.mp4", "--mode", "replace", "-o", PLACE / "rife.mp4", "--overwrite", "-q"]
    times = [run([join])[0] for _ in range(pairs)]
    print(f"| join --mode replace (rife), 640x360, 16 frames made | {statistics.median(times):.1f} ({min(times):.1f} to {max(times):.1f}) | | | |", flush=True)
    seconds, peak = run([join + ["--size", "1280x720"]])
    print(f"| the same at 1280x720 | {seconds:.1f} | | | peak of the process tree {peak:.0f} MB |", flush=True)


def start(pairs):
    a = CLIPS / "bunny_a.mp4"
    probe = ["ffprobe", "-v", "error", "-show_format", "-show_streams", "-show_packets", "-show_entries",
             "packet=stream_index,pts,duration,flags", "-of", "json", a]
    pairs = max(pairs, 21)
    row("wanctl --help against ffprobe -version", [timed([WANCTL, "--help"]) for _ in range(pairs)],
        [timed(["ffprobe", "-version"]) for _ in range(pairs)])
    both = [(timed([WANCTL, "inspect", a]), timed(probe)) for _ in range(pairs)]
    row("inspect of one clip against its ffprobe call", [o for o, _ in both], [t for _, t in both])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=[[], "start", "guide", "rife", "join", "long"])
    parser.add_argument("--pairs", type=int, default=5)
    args = parser.parse_args()
    if not WANCTL.exists():
        sys.exit(f"{WANCTL} is missing; cargo build --release makes it")
    PLACE.mkdir(parents=True, exist_ok=True)
    os.environ["WANCTL_WORK_DIR"] = str(PLACE / "runs")
    print(f"{os.cpu_count()} cores, {shutil.which('ffmpeg')}, {args.pairs} pairs\n")
    print("| what | wanctl, s | ffmpeg, s | ratio, median (least to most) | |\n| --- | --- | --- | --- | --- |")
    for what in args.what or ["start", "guide", "rife", "join", "long"]:
        {"guide": guide, "join": join, "start": start, "rife": rife, "long": long}[what](args.pairs)


if __name__ == "__main__":
    main()
