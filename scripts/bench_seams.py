#!/usr/bin/env python3
"""The held-out-gap benchmark: real frames taken out of the middle of real clips and made again, six ways.

    scripts/bench_seams.py [--half tuning|held-out|both] [--frames 8 16 32] [--width 320 640] [--jobs 2]
    scripts/bench_seams.py --tables     print the tables of the last run again
    scripts/bench_seams.py --sheets     draw docs/images/seams-*.png from the last run

Clips: scripts/fetch_clips. Python packages: a virtual environment of its own, .bench/venv. Results: .bench/seams.json.
The rules (shots, places, halves, classes, metrics) are in docs/seams.md; each stands here where it is carried out.
"""

import argparse
import concurrent.futures as futures
import hashlib
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PLACE = ROOT / ".bench"
NEEDS = ["numpy==2.2.6", "opencv-python-headless==4.12.0.88"]


def at_home():
    """Goes on in the benchmark's own virtual environment, made where it is missing."""
    venv = PLACE / "venv"
    if pathlib.Path(sys.prefix) == venv:
        return
    ready = venv / "ready"
    if not ready.exists() or ready.read_text() != "\n".join(NEEDS):
        print("making .bench/venv", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        pip = [venv / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
        subprocess.run(pip + NEEDS, check=True)
        ready.write_text("\n".join(NEEDS))
    os.execv(venv / "bin/python", [str(venv / "bin/python"), *sys.argv])


if __name__ == "__main__":
    at_home()

import cv2  # noqa: E402
import numpy as np  # noqa: E402

cv2.setNumThreads(1)

# Every clip and shot that the method was chosen on lies in the tuning half: all that in-betweening was ever tried on
# before this benchmark. The held-out half is every other clip, and the shots of the trailer that were never used.
TUNING = ["bunny", "bikes", "carphone", "world", "street", "cup", "box", ("trailer", 100), ("trailer", 640)]
HELD_OUT = ["woman", "man", "title", "city", "tree", "trailer"]
FILES = {"city": "city.mpg", "street": "street.avi", "tree": "tree.avi"}

AROUND = 12  # frames on each side of a gap that the metrics look at
LEFT, RIGHT = 9, 8  # frames that a join shows the engine by default
MOST = {"tuning": 5, "held-out": 7}  # places in a shot
APART = 48  # frames from one place to the next, at least
METHODS = ["rife", "halving", "dissolve", "minterpolate", "blend", "hold"]


# ---------------------------------------------------------------- clips, shots, places


def size_at(name, width):
    probe = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=width,height", "-of", "csv=p=0"]
    said = subprocess.run(probe + [path_of(name)], capture_output=True, text=True, check=True).stdout
    w, h = (int(number) for number in re.findall(r"\d+", said)[:2])
    factor = min(1, width / w)
    return round(w * factor / 2) * 2, round(h * factor / 2) * 2


def path_of(name):
    return PLACE / "clips" / FILES.get(name, f"{name}.mp4")


def film(name, width):
    """All frames of a clip, at most `width` wide (never enlarged): [T, H, W, 3]."""
    w, h = size_at(name, width)
    cache = PLACE / f"frames/{name}_{width}.npy"
    if not cache.exists():
        cache.parent.mkdir(parents=True, exist_ok=True)
        command = ["ffmpeg", "-v", "fatal", "-nostdin", "-i", path_of(name), "-vf", f"scale={w}:{h}:flags=area"]
        command += ["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
        raw = subprocess.run(command, capture_output=True, check=True).stdout
        np.save(cache, np.frombuffer(raw, np.uint8).reshape(-1, h, w, 3))
    return np.load(cache, mmap_mode="r")


def step(a, b):
    return float(np.abs(a.astype(np.int16) - b).mean())


def shots(frames):
    """Cut where a step is above 8 levels and four times the median of the 12 on each side of it."""
    steps = np.array([step(a, b) for a, b in zip(frames, frames[1:])])
    around = [np.median(np.r_[steps[max(0, i - 12) : i], steps[i + 1 : i + 13]]) for i in range(len(steps))]
    cuts = [i + 1 for i, s in enumerate(steps) if s > 8 and s > 4 * around[i]]
    return list(zip([0, *cuts], [*cuts, len(frames)]))


def half_of(name, low, high):
    for tuning in TUNING:
        if tuning == name or (tuning[0] == name and low <= tuning[1] < high):
            return "tuning"
    return "held-out"


def places(low, high, count, most):
    """Middles of gaps, evenly over the shot; the same for every length where the shot holds the longest."""
    need = max(count, 32) + 2 * AROUND if high - low >= 32 + 2 * AROUND else count + 2 * AROUND
    room = high - low - need
    if room < 0:
        return []
    many = min(most, 1 + room // APART)
    return [low + need // 2 + int(room * (index + 0.5) / many) for index in range(many)]


def usable(window):
    """No fade, and frames that move: mean luma within 20 levels, at most a tenth of the frames repeat the one before."""
    luma = [float(frame[::2, ::2].mean()) for frame in window]
    steps = [step(a, b) for a, b in zip(window, window[1:])]
    repeats = sum(s < max(0.05, 0.1 * statistics.median(steps)) for s in steps)
    return max(luma) - min(luma) < 20 and repeats <= len(steps) / 10


def gray(frame):
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)


def flow(a, b, preset=cv2.DISOPTICAL_FLOW_PRESET_FAST):
    """Where each pixel of `a` lies on `b`, less its place (DIS)."""
    return cv2.DISOpticalFlow_create(preset).calc(gray(a), gray(b), None)


def motion_class(window):
    """By the true flow, in pixels a frame at 320 wide: the camera's is the median, the fastest the 95th percentile."""
    scale = 320 / window[0].shape[1]
    flows = [flow(a, b, cv2.DISOPTICAL_FLOW_PRESET_MEDIUM) * scale for a, b in zip(window, window[1:])]
    camera = np.array([np.median(f.reshape(-1, 2), axis=0) for f in flows])
    fastest = statistics.mean(float(np.quantile(np.hypot(f[..., 0], f[..., 1]), 0.95)) for f in flows)
    moves = float(np.linalg.norm(camera, axis=1).mean())
    straight = float(np.linalg.norm(camera.sum(0)) / max(np.linalg.norm(camera, axis=1).sum(), 1e-9))
    if fastest >= 4:
        return "fast"
    if moves >= 0.25:
        return "pan" if straight >= 0.7 else "hand-held"
    return "static" if fastest >= 0.75 else "slow"


def cases(half, counts, width):
    """All cases of a half; at 640 wide the middle place of each shot of clips that are as wide."""
    found = []
    for name in TUNING[:7] + HELD_OUT:
        if width > 320 and size_at(name, width)[0] < width:
            continue
        small = film(name, 320)
        for low, high in shots(small):
            if half_of(name, low, high) != half:
                continue
            for count in counts:
                all_places = places(low, high, count, MOST[half])
                if width > 320:
                    all_places = all_places[len(all_places) // 2 :][:1]
                for middle in all_places:
                    start = middle - count // 2
                    window = small[start - AROUND : start + count + AROUND]
                    assert low <= start - AROUND and start + count + AROUND <= high
                    if usable(window):
                        place = {"clip": name, "at": middle, "start": start, "frames": count, "width": width, "half": half}
                        found.append(place | {"class": motion_class(window)})
    return found


def key(case):
    return f"{case['clip']}_{case['at']}_{case['frames']}_{case['width']}"


def material(case):
    """The frames before the gap, those in it, those after it."""
    frames, start, end = film(case["clip"], case["width"]), case["start"], case["start"] + case["frames"]
    return np.array(frames[start - AROUND : start]), np.array(frames[start:end]), np.array(frames[end : end + AROUND])


# ---------------------------------------------------------------- ways to fill a gap


def tensors(frames, slots):
    """A guide as `wanctl` writes it: safetensors, frames first."""
    mask = (slots == 0).astype(np.float32)
    latent = np.zeros((len(slots) + 3) // 4, np.float32)
    named = [("frames", "U8", frames), ("slot", "U8", slots), ("mask", "F32", mask), ("latent_mask", "F32", latent)]
    head, end = {}, 0
    for name, kind, numbers in named:
        head[name] = {"dtype": kind, "shape": list(numbers.shape), "data_offsets": [end, end + numbers.nbytes]}
        end += numbers.nbytes
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(numbers.tobytes() for _, _, numbers in named)


def constant(paths, pattern):
    texts = (path.read_text() for path in sorted(ROOT.glob(paths)))
    found = [match[1] for text in texts for match in re.finditer(pattern, text, re.MULTILINE)]
    assert len(set(found)) == 1, f"{paths} has {pattern} as {found}"
    return found[0]


def ask(folder, case, maker):
    before, truth, after = material(case)
    shown = np.concatenate([before[-LEFT:], np.full_like(truth, 128), after[:RIGHT]])
    slots = np.array([3] * LEFT + [0] * len(truth) + [3] * RIGHT, np.uint8)
    guide = tensors(shown, slots)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "guide.safetensors").write_bytes(guide)
    request = {
        "version": int(constant("src/pipeline/job/*.rs", r"^pub const VERSION: u32 = (\d+)")),
        "program": constant("Cargo.toml", r'^version = "(.*)"'),
        "run": "bench-seams",
        "seam": 0,
        "maker": maker,
        "width": shown.shape[2],
        "height": shown.shape[1],
        "frames": len(shown),
        "guide": hashlib.sha256(guide).hexdigest(),
    }
    (folder / "request.json").write_text(json.dumps(request))


def run_engine(engine, folders):
    done = subprocess.run([engine, "--device", "cpu", "--threads", "1", *folders], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{engine} failed: {done.stderr[-2000:]}")
    for folder in folders:
        (folder / "guide.safetensors").unlink()


def work_folder(engine_hash, case, maker):
    return PLACE / "jobs" / engine_hash / f"{maker}_{key(case)}"


def make(engine, engine_hash, all_cases, jobs):
    """Has the engine fill every gap that this engine has not filled before; several folders a call."""
    wanted = []
    for case in sorted(all_cases, key=lambda case: -case["frames"] * case["width"] ** 2):
        for maker in ("rife", "halving"):
            folder = work_folder(engine_hash, case, maker)
            if not (folder / "result.json").exists():
                wanted.append((folder, case, maker))
    batches = [wanted[index : index + 6] for index in range(0, len(wanted), 6)]

    def batch(parts):
        for part in parts:
            ask(*part)
        run_engine(engine, [folder for folder, _, _ in parts])
        print(".", end="", file=sys.stderr, flush=True)

    with futures.ThreadPoolExecutor(jobs) as pool:
        list(pool.map(batch, batches))
    print(file=sys.stderr)


def made(folder, case):
    data = (folder / "made.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    shape = json.loads(data[8 : 8 + length])["frames"]["shape"]
    return np.frombuffer(data[8 + length :], np.uint8).reshape(shape)[LEFT : LEFT + case["frames"]]


def minterpolate(case):
    """ffmpeg's motion-compensated interpolation at its best settings over the real clips, told of the gap by timestamps."""
    before, truth, after = material(case)
    whole = np.concatenate([before, truth, after])
    low, high, (height, width) = len(before), len(before) + len(truth), truth.shape[1:3]
    graph = f"select='lt(n,{low})+gte(n,{high})',minterpolate=fps=25:mi_mode=mci:mc_mode=aobmc:me_mode=bidir:vsbmc=1:scd=none"
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24"]
    command = ["ffmpeg", "-v", "error", "-nostdin", *raw, "-s", f"{width}x{height}", "-r", "25", "-i", "-"]
    command += ["-vf", graph, "-fps_mode", "passthrough", *raw, "-"]
    done = subprocess.run(command, input=whole.tobytes(), capture_output=True, check=True).stdout
    frames = np.frombuffer(done, np.uint8).reshape(-1, height, width, 3)
    # Its first frame is one of the first two of the clip: find which, by what is known.
    first = min(range(0, 4), key=lambda shift: step(frames[low - 2 - shift], before[low - 2]))
    return frames[low - first : high - first]


def mixed(case):
    """`wanctl join --engine dissolve`: src/pipeline/frames/dissolve.rs and pixels::mix, in 16-bit fixed point."""
    before, truth, after = material(case)
    a, b, count = before[-1].astype(np.uint32), after[0].astype(np.uint32), len(truth)
    shares = [int(np.floor((np.float32(index) / np.float32(count + 1)) * np.float32(65536) + 0.5)) for index in range(1, count + 1)]
    return np.stack([(a * (65536 - share) + b * share + (1 << 15) >> 16).astype(np.uint8) for share in shares])


def blend(case):
    before, truth, after = material(case)
    a, b, count = before[-1].astype(float), after[0].astype(float), len(truth)
    return np.stack([np.rint(a + (b - a) * (index / (count + 1))).astype(np.uint8) for index in range(1, count + 1)])


def hold(case):
    """The nearer end, held: a cut in the middle of the gap."""
    before, truth, after = material(case)
    half = (len(truth) + 1) // 2
    return np.stack([before[-1]] * half + [after[0]] * (len(truth) - half))


def filled(case, method, engine_hash):
    if method in ("rife", "halving"):
        return made(work_folder(engine_hash, case, method), case)
    return {"dissolve": mixed, "minterpolate": minterpolate, "blend": blend, "hold": hold}[method](case)


# ---------------------------------------------------------------- metrics


def psnr(a, b):
    error = np.square(a.astype(np.float64) - b).mean()
    return 10 * np.log10(65025 / max(error, 1e-9))


def ssim(a, b):
    """Wang et al. 2004 on luma: a Gaussian window of 11 pixels, sigma 1.5."""
    a, b = gray(a).astype(np.float64), gray(b).astype(np.float64)
    soft = lambda x: cv2.GaussianBlur(x, (11, 11), 1.5)
    ma, mb = soft(a), soft(b)
    va, vb, both = soft(a * a) - ma * ma, soft(b * b) - mb * mb, soft(a * b) - ma * mb
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return float(((2 * ma * mb + c1) * (2 * both + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2))).mean())


def moved(a, b):
    """How far `b` differs from `a` moved onto it, and how far that moved."""
    back = flow(b, a)
    height, width = back.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    onto = cv2.remap(gray(a), x + back[..., 0], y + back[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.abs(onto.astype(float) - gray(b)).mean(), np.hypot(back[..., 0], back[..., 1]).mean()


def measure(before, frames, after, truth):
    film = [*before, *frames, *after]
    first, last = len(before) - 1, len(before) + len(frames) - 1  # the steps over the two seams
    steps = np.array([step(a, b) for a, b in zip(film, film[1:])])
    rest, far = np.array([moved(a, b) for a, b in zip(film, film[1:])]).T
    clip = [index for index in range(len(steps)) if index < first or index > last]
    usual = lambda x: max(float(np.median(x[clip])), 1e-3)
    seams = steps[[first, last]] / usual(steps)
    # A frame that is the truth to the bit has no error: 60 dB stands for it.
    return {
        "psnr": float(np.mean([min(60, psnr(a, b)) for a, b in zip(frames, truth)])),
        "ssim": float(np.mean([ssim(a, b) for a, b in zip(frames, truth)])),
        "j": float(seams.max()),
        "j_least": float(seams.min()),
        "j_most": float((steps[first : last + 1] / usual(steps)).max()),
        "w": float(rest[[first, last]].max() / usual(rest)),
        "m": float(far[first + 1 : last].mean() / usual(far)),
    }


def result(job):
    case, engine_hash = job
    before, truth, after = material(case)
    found = {"truth": measure(before, truth, after, truth)}
    for method in METHODS:
        found[method] = measure(before, filled(case, method, engine_hash), after, truth)
    return case | {"results": found}


# ---------------------------------------------------------------- tables and sheets


def mean(numbers):
    return statistics.fmean(numbers)


def tables(results):
    for width in sorted({r["width"] for r in results}):
        for half in ("held-out", "tuning"):
            for count in sorted({r["frames"] for r in results}):
                some = [r for r in results if (r["width"], r["half"], r["frames"]) == (width, half, count)]
                if some:
                    table(some, f"{half} half, {width} wide, {count} frames made, {len(some)} cases")
                    gains(some)
            some = [r for r in results if (r["width"], r["half"]) == (width, half)]
            if some:
                by_class(some)


def table(some, title):
    print(f"\n### {title}\n")
    print("| | PSNR | SSIM | J | J, lesser seam | J, most | W | M |\n| --- | --- | --- | --- | --- | --- | --- | --- |")
    for method in ["truth", *METHODS]:
        of = lambda name: mean([r["results"][method][name] for r in some])
        quality = "| |" if method == "truth" else f"{of('psnr'):.2f} | {of('ssim'):.4f} |"
        print(f"| {method} | {quality} " + " | ".join(f"{of(name):.2f}" for name in ("j", "j_least", "j_most", "w", "m")) + " |")


def gain(r, metric="psnr"):
    return r["results"]["rife"][metric] - r["results"]["halving"][metric]


def gains(some):
    """rife less halving, case by case."""
    said = []
    for metric, digits in (("psnr", 2), ("ssim", 4)):
        all_gains = [gain(r, metric) for r in some]
        wins = sum(g > 0 for g in all_gains)
        said.append(
            f"{metric.upper()} mean {mean(all_gains):+.{digits}f}, median {statistics.median(all_gains):+.{digits}f}, "
            f"{wins} of {len(some)} cases won"
        )
    worst = sorted(some, key=gain)[:3]
    said.append("worst " + ", ".join(f"{r['clip']} {r['at']} {gain(r):+.2f} dB" for r in worst))
    print("\nrife less halving: " + "; ".join(said) + ".")


def by_class(some):
    print("\n| class | frames | cases | rife dB / SSIM / J | halving dB / SSIM / J | gain dB | won |\n| --- | --- | --- | --- | --- | --- | --- |")
    for kind in sorted({r["class"] for r in some}):
        for count in sorted({r["frames"] for r in some}):
            of = [r for r in some if (r["class"], r["frames"]) == (kind, count)]
            if of:
                row = lambda method: " / ".join(
                    f"{mean([r['results'][method][name] for r in of]):.{digits}f}" for name, digits in (("psnr", 2), ("ssim", 3), ("j", 2))
                )
                wins = sum(gain(r) > 0 for r in of)
                print(f"| {kind} | {count} | {len(of)} | {row('rife')} | {row('halving')} | {mean([gain(r) for r in of]):+.2f} | {wins} |")


# Their licences are known: CC-BY 3.0 (Big Buck Bunny), CC0.
SHOWABLE = {"trailer", "city", "bunny"}


def sheets(results, engine_hash):
    """For each class the held-out case of 16 frames whose gain is the class's median, of those that may be shown; of its
    picture the window of half the sides where the two ends of the gap differ most."""
    for kind in sorted({r["class"] for r in results}):
        fit = lambda half: [r for r in results if (r["class"], r["half"], r["frames"], r["width"]) == (kind, half, 16, 320) and r["clip"] in SHOWABLE]
        some = sorted(fit("held-out") or fit("tuning"), key=gain)
        if some:
            sheet(some[len(some) // 2], kind, engine_hash)


def sheet(case, kind, engine_hash):
    before, truth, after = material(case)
    path = ROOT / f"docs/images/seams-{kind}.png"
    high, wide = truth.shape[1] // 2, truth.shape[2] // 2
    change = cv2.boxFilter(np.abs(before[-1].astype(np.float32) - after[0]).sum(2), -1, (wide, high), anchor=(0, 0))
    top, left = np.unravel_index(change[: high + 1, : wide + 1].argmax(), (high + 1, wide + 1))
    window = lambda frame: frame[top : top + high, left : left + wide]
    for wide in range(200, 100, -8):
        rows = []
        for name in ("truth", "rife", "halving", "blend"):
            frames = truth if name == "truth" else filled(case, name, engine_hash)
            row = [window(frame) for frame in (before[-1], *[frames[index] for index in (0, 3, 7, 15)], after[0])]
            tall = round(wide * truth.shape[1] / truth.shape[2])
            row = [cv2.resize(frame, (wide, tall), interpolation=cv2.INTER_AREA) for frame in row]
            label = np.full((tall, 60, 3), 255, np.uint8)
            cv2.putText(label, name, (3, tall // 2), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
            rows.append(np.concatenate([label, *row], 1))
        cv2.imwrite(str(path), np.concatenate(rows)[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])
        if path.stat().st_size < 400_000:
            break
    print(f"{path.name}: {case['clip']}, frame {case['at']}, {case['half']}, {gain(case):+.2f} dB, {path.stat().st_size // 1000} kB")


# ---------------------------------------------------------------- the run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=["tuning", "held-out", "both"], default="both")
    parser.add_argument("--frames", type=int, nargs="+", default=[8, 16, 32])
    parser.add_argument("--width", type=int, nargs="+", default=[320, 640])
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--list", action="store_true", help="say what the cases are, and make nothing")
    parser.add_argument("--tables", action="store_true", help="of the last run")
    parser.add_argument("--sheets", action="store_true", help="of the last run")
    parser.add_argument("--output", type=pathlib.Path, default=PLACE / "seams.json")
    args = parser.parse_args()
    if args.tables or args.sheets:
        last = json.loads(args.output.read_text())
        (tables if args.tables else lambda results: sheets(results, last["engine"]))(last["cases"])
        return

    if subprocess.run([ROOT / "scripts/fetch_clips"]).returncode:
        sys.exit("bench_seams: the clips are not all there")
    halves = ["tuning", "held-out"] if args.half == "both" else [args.half]
    all_cases = [case for width in args.width for half in halves for case in cases(half, args.frames, width)]
    if args.list:
        for case in all_cases:
            print(json.dumps(case))
        return
    engine = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release/wanctl-engine"
    if not engine.exists():
        sys.exit(f"{engine} is missing; cargo build --release makes it")
    engine_hash = hashlib.sha256(engine.read_bytes()).hexdigest()[:12]
    print(f"{len(all_cases)} cases, engine {engine_hash}", file=sys.stderr)
    make(engine, engine_hash, all_cases, args.jobs)
    with futures.ProcessPoolExecutor(args.jobs) as pool:
        results = list(pool.map(result, [(case, engine_hash) for case in all_cases]))
    args.output.write_text(json.dumps({"engine": engine_hash, "cases": results}, indent=1))
    tables(results)


if __name__ == "__main__":
    main()
