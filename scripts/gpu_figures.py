#!/usr/bin/env python3
"""What a GPU makes of wanctl's engine: are the frames right, how long does a forward take, how much memory. Some minutes.

    scripts/gpu_figures.py pack [--model i2v-14b] [--layers 40] [--size 832x480] [--frames 81] [FOLDER]
        here, after `cargo build --release --bins --examples`, with ffmpeg: FOLDER (.gpu), some 30 MB
    python3 gpu_figures.py run [--out out] [--limit 470] [--device cuda:0] [--stages WORD,...] ...
        in that folder on the machine with the GPU, which needs Python 3 with torch 2.11 for CUDA and nothing else

Each figure is a line of OUT/figures.jsonl and on disk before the next begins, the most valuable first; a stage that fails or
finds too little time left does not stop the rest. Weights of published shape are random numbers, drawn on the GPU and
written to /dev/shm where that has room. For docs/gpu.md, with the machine's name, its driver and the date.
"""

import argparse
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
MB = 1_000_000
# Of the folder, so that it travels anywhere.
MOST_BYTES = 64 * MB


def tensors_of(path):
    """The header of a safetensors file, and where its data begin."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return json.loads(file.read(length)), 8 + length


def tensor_bytes(path, name):
    header, data = tensors_of(path)
    start, end = header[name]["data_offsets"]
    with open(path, "rb") as file:
        file.seek(data + start)
        return file.read(end - start)


def write_safetensors(path, tensors):
    """`tensors`: name to (dtype, shape, bytes)."""
    header, end = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + len(data)]}
        end += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(data for _, _, data in tensors.values()))


# ---------------------------------------------------------------- pack


def pack(args):
    root = HERE.parent
    built = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", root / "target")) / "release"
    folder = pathlib.Path(args.folder or root / ".gpu").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "cases").mkdir(parents=True)
    shutil.copy(__file__, folder / "gpu_figures.py")
    subprocess.run(["strip", "-o", folder / "wanctl-engine", built / "wanctl-engine"], check=True)
    shutil.copytree(root / "tests/fixtures/wan/tiny", folder / "tiny")
    pack_cases(root, built, folder)
    pack_job(root, built, folder, args)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if size > MOST_BYTES:
        sys.exit(f"gpu_figures: {folder} has {size / MB:.0f} MB, more than the {MOST_BYTES / MB:.0f} that it may have")
    print(f"{folder} has {size / MB:.0f} MB. Copy it to the machine with the GPU, whose python3 has torch 2.11 for CUDA, and run there:")
    print(f"    cd {folder.name} && python3 gpu_figures.py run")


def pack_cases(root, built, folder):
    """The tests' tiny joins, with the frames that diffusers makes of them."""
    fixtures = root / "tests/fixtures/wan"
    frames = fixtures / "join.safetensors"
    for clip in "ab":
        words = "-v error -y -f rawvideo -pix_fmt rgb24 -s 48x32 -r 16 -i - -c:v ffv1 -pix_fmt bgr0".split()
        subprocess.run(["ffmpeg", *words, folder / f"{clip}.mkv"], input=tensor_bytes(frames, f"in.{clip}"), check=True)
    for case in json.loads((fixtures / "join.json").read_text()):
        words = [word for name in ("steps", "shift", "seed", "context", "gap") for word in (f"--{name}", str(case[name]))]
        words += ["--mode", case.get("mode", "insert"), "--guidance", ";".join(map(str, case["guidance"]))]
        words += ["--prompt", case["prompt"], "--negative-prompt", case["negative"]]
        models = [fixtures / "tiny"]
        if case["experts"] == 1:
            models = [fixtures / "tiny" / part for part in ("transformer", "vae", "text_encoder", "tokenizer/tokenizer.json")]
        job = write_job(built, folder, [folder / "a.mkv", folder / "b.mkv"], words, models)
        request = json.loads((job / "request.json").read_text())
        # The tiny model lies in the folder, wherever that is.
        move_models(request, lambda path: "tiny" + path[path.index("/tiny") + len("/tiny") :])
        (job / "request.json").write_text(json.dumps(request))
        (job / "wanted.rgb").write_bytes(tensor_bytes(frames, f"out.{case['name']}"))
        shutil.move(job, folder / "cases" / case["name"])
    for clip in "ab":
        (folder / f"{clip}.mkv").unlink()


def pack_job(root, built, folder, args):
    """A job of published size without its frames, and the headers of its model."""
    holes, model = folder / "holes", folder / "model"
    layers = [str(args.layers), "2"] if args.layers else [{"vace-1.3b": "30"}.get(args.model, "40"), "2"]
    subprocess.run([built / "examples/published_model", args.model, holes, *layers], check=True)
    shutil.copy(root / "tests/fixtures/wan/tiny/tokenizer/tokenizer.json", holes)
    clips = [root / "tests/fixtures/clips" / name for name in ("bunny_a.mp4", "bunny_b.mp4")]
    gap = args.frames - 16
    words = ["--size", args.size, "--context", "8", "--gap", str(gap), "--steps", "4", "--guidance", "1", "--seed", "1", "--prompt", "a boat"]
    job = write_job(built, folder, clips, words, [holes])
    request = json.loads((job / "request.json").read_text())
    move_models(request, lambda path: pathlib.Path(path).name)
    header, _ = tensors_of(job / "guide.safetensors")
    rest = {name: [entry["dtype"], entry["shape"], tensor_bytes(job / "guide.safetensors", name).hex()] for name, entry in header.items() if name not in ("frames", "__metadata__")}
    shutil.rmtree(job)
    model.mkdir()
    for path in holes.glob("*.safetensors"):
        (model / f"{path.name}.json").write_text(json.dumps(tensors_of(path)[0]))
    shutil.copy(holes / "tokenizer.json", model)
    shutil.rmtree(holes)
    (folder / "job.json").write_text(json.dumps({"model": args.model, "request": request, "guide": rest}))


def write_job(built, folder, clips, words, models):
    """wanctl itself writes the job; the engine that it is given does nothing, so that it stays undone."""
    runs = folder / "runs"
    command = [built / "wanctl", "join", *clips, "--engine", "wan", "--align", "exact", "--device", "cuda:0", "--work-dir", runs, "--quiet", "-o", folder / "none.mp4", *words]
    for path in models:
        command += ["--model", path]
    environment = os.environ | {"WANCTL_ENGINE": shutil.which("false")}
    ended = subprocess.run([str(word) for word in command], env=environment, capture_output=True, text=True)
    found = list(runs.glob("*/seam_*"))
    if len(found) != 1 or not (found[0] / "request.json").exists():
        sys.exit(f"gpu_figures: wanctl wrote no job:\n{ended.stderr}")
    job = folder / "job"
    shutil.rmtree(job, ignore_errors=True)
    shutil.move(found[0], job)
    shutil.rmtree(runs)
    return job


def move_models(request, to):
    models = request["maker"]["wan"]["models"]
    for part in ("high", "low", "vae", "text"):
        models[part] = [to(path) for path in models[part]]
    models["tokenizer"] = to(models["tokenizer"])


# ---------------------------------------------------------------- run


class Run:
    def __init__(self, args):
        self.args, self.start = args, time.perf_counter()
        self.out = pathlib.Path(args.out).resolve()
        self.out.mkdir(parents=True, exist_ok=True)
        self.log = open(self.out / "figures.jsonl", "a")
        self.job = json.loads((HERE / "job.json").read_text())
        self.facts = self.job["request"]["maker"]["wan"]["models"]["transformer"]
        size = self.job["request"]
        self.rows = ((size["frames"] + 3) // 4) * (size["height"] // 16) * (size["width"] // 16)
        shm = pathlib.Path("/dev/shm")
        roomy = shm.exists() and shutil.disk_usage(shm).free > 40_000 * MB
        self.place = pathlib.Path(args.place) if args.place else (shm / "wanctl-gpu-figures" if roomy else HERE / "weights")

    def left(self):
        return self.args.limit - (time.perf_counter() - self.start)

    def report(self, what, **facts):
        line = json.dumps({"at": round(time.perf_counter() - self.start, 1), "what": what, **facts})
        self.log.write(line + "\n")
        self.log.flush()
        os.fsync(self.log.fileno())
        print(line, flush=True)

    def stage(self, name, seconds, work):
        if self.args.stages and name.split(":")[0] not in self.args.stages.split(","):
            return
        if self.left() < seconds:
            return self.report(name, skipped=f"{self.left():.0f} s left, wants {seconds}")
        try:
            work()
        except Exception:
            self.report(name, failed=traceback.format_exc()[-1500:])

    def all(self):
        self.stage("machine", 5, self.machine)
        self.stage("tiny", 60, self.tiny)
        self.stage("model", 60, self.model)
        self.stage("bf16", 60, lambda: self.bench("bf16", dtype="bf16", offload="none"))
        self.stage("ceilings", 25, self.ceilings)
        self.stage("flash", 50, lambda: self.bench("flash: attention by flash", 2, {"WANCTL_ATTENTION": "flash"}, dtype="bf16", offload="none"))
        self.stage("workspace", 45, lambda: self.bench("workspace: cublasLt's own 1 MiB", 2, {"CUBLASLT_WORKSPACE_SIZE": "1024"}, dtype="bf16", offload="none"))
        self.stage("fp8", 60, lambda: self.bench("fp8", 2, dtype="fp8", offload="none"))
        self.stage("blocks", 70, lambda: self.bench("blocks: layers wait in the host's memory", 2, dtype="bf16", offload="blocks"))
        self.stage("f32", 90, lambda: self.bench("f32", 2, dtype="f32", offload="none"))
        self.stage("diffusers", 90, self.diffusers)
        self.report("end")
        if self.place.exists() and not self.args.place:
            shutil.rmtree(self.place)

    # What the engine prints, each line with its time: steps have times of their own, and the first one warms up.
    def engine(self, folders, limit, **more):
        environment = os.environ | {"OMP_WAIT_POLICY": "passive"} | more
        if not self.args.engine:
            environment["LD_LIBRARY_PATH"] = f"{libraries()}:{os.environ.get('LD_LIBRARY_PATH', '')}"
        program = self.args.engine or HERE / "wanctl-engine"
        start, lines = time.perf_counter(), []
        command = [str(word) for word in [program, "--device", self.args.device, *folders]]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
            timer = threading.Timer(max(1, min(limit, self.left())), child.kill)
            timer.start()
            for line in child.stdout:
                at = time.perf_counter() - start
                try:
                    lines.append((at, json.loads(line)))
                except ValueError:
                    lines.append((at, {"type": "text", "line": line[:300]}))
            timer.cancel()
        if child.returncode:
            raise RuntimeError(f"the engine ended with {child.returncode}: {[event for _, event in lines][-3:]}")
        return lines

    def machine(self):
        smi = "no nvidia-smi"
        if shutil.which("nvidia-smi"):
            query = "--query-gpu=name,memory.total,driver_version,clocks.sm,power.limit"
            smi = subprocess.run(["nvidia-smi", query, "--format=csv,noheader"], capture_output=True, text=True).stdout.strip()
        memory = [line for line in open("/proc/meminfo") if line.startswith(("MemTotal", "MemAvailable"))]
        environment = dict(os.environ)
        if not self.args.engine:
            environment["LD_LIBRARY_PATH"] = f"{libraries()}:{os.environ.get('LD_LIBRARY_PATH', '')}"
        devices = subprocess.run([self.args.engine or HERE / "wanctl-engine", "--devices"], env=environment, capture_output=True, text=True)
        date = time.strftime("%Y-%m-%d")
        self.report("machine", date=date, smi=smi, memory="".join(memory), weights=str(self.place), devices=(devices.stdout + devices.stderr)[-600:])

    def tiny(self):
        """f32 is held to the bound of the tests on the CPU, 2 of 255 at most and 0.05 in the mean; layers that are brought one
        by one to the bytes of those that stay: a stream that does not wait would show there. The other dtypes are only
        reported: these networks are random, and no picture."""
        cases, first = sorted(path.parent for path in HERE.glob("cases/*/wanted.rgb")), {}
        for dtype, offload in (("f32", "none"), ("f32", "blocks"), ("bf16", "none"), ("bf16", "blocks"), ("f16", "none"), ("fp8", "none")):
            folders = []
            for case in cases:
                folder = self.out / "tiny" / case.name
                shutil.rmtree(folder, ignore_errors=True)
                shutil.copytree(case, folder)
                request = json.loads((folder / "request.json").read_text())
                request["maker"]["wan"] |= dict(dtype=dtype, offload=offload)
                move_models(request, lambda path: str(HERE / path))
                (folder / "request.json").write_text(json.dumps(request))
                folders.append(folder)
            start = time.perf_counter()
            self.engine(folders, 90)
            seconds = round(time.perf_counter() - start, 1)
            cases_off, right = {}, True
            for case, folder in zip(cases, folders):
                made = tensor_bytes(folder / "made.safetensors", "frames")
                off = [abs(a - b) for a, b in zip(made, (case / "wanted.rgb").read_bytes())]
                cases_off[case.name] = [max(off), round(sum(off) / len(off), 4)]
                stays = first.setdefault((dtype, case.name), made)
                right &= stays == made and (dtype != "f32" or max(off) <= 2 and sum(off) / len(off) <= 0.05)
            self.report("tiny", dtype=dtype, offload=offload, right=right, seconds=seconds, most_and_mean_off=cases_off)
        shutil.rmtree(self.out / "tiny")

    def model(self):
        start = time.perf_counter()
        self.place.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "model/tokenizer.json", self.place)
        used = set(self.model_files())
        for path in sorted(HERE.glob("model/*.safetensors.json")):
            name = path.name.removesuffix(".json")
            if name in used:
                self.write_weights(json.loads(path.read_text()), self.place / name)
        total = sum(path.stat().st_size for path in self.place.glob("*.safetensors"))
        self.report("model", model=self.job["model"], seconds=round(time.perf_counter() - start, 1), gb=round(total / 1e9, 1), where=str(self.place))

    def model_files(self):
        """One expert does all steps: two of them are the same work and twice the memory."""
        models = self.job["request"]["maker"]["wan"]["models"]
        return models["high"] + models["vae"] + models["text"]

    def write_weights(self, header, path):
        """Random numbers of unit gain; with --holes the file is one, which reads as zeros."""
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        entries = sorted(((name, entry) for name, entry in header.items() if name != "__metadata__"), key=lambda item: item[1]["data_offsets"])
        with open(path, "wb", buffering=0) as file:
            file.write(len(text).to_bytes(8, "little") + text)
            if self.args.holes:
                return file.truncate(8 + len(text) + entries[-1][1]["data_offsets"][1])
            import torch

            device = "cuda" if self.args.device.startswith("cuda") else "cpu"
            torch.manual_seed(0)
            for name, entry in entries:
                shape, kind = entry["shape"], {"BF16": torch.bfloat16, "F32": torch.float32}[entry["dtype"]]
                numbers = torch.randn(shape, device=device, dtype=torch.bfloat16)
                if ("norm" in name and name.endswith("weight")) or name.endswith("gamma"):
                    numbers = 1 + 0.1 * numbers
                else:
                    numbers *= 0.05 if len(shape) == 1 else (shape[0] / numbers.numel()) ** 0.5
                numbers = numbers.to(kind).contiguous().view(torch.uint8).flatten().cpu().numpy()
                file.write(memoryview(numbers))
        if device == "cuda":
            torch.cuda.empty_cache()

    def bench(self, name, count=3, environment={}, **change):
        folder = self.out / "bench"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        request = json.loads(json.dumps(self.job["request"]))
        width, height, frames = request["width"], request["height"], request["frames"]
        noise = os.urandom(1 << 20)
        pixels = (noise * (frames * width * height * 3 // len(noise) + 1))[: frames * width * height * 3]
        tensors = {"frames": ("U8", [frames, height, width, 3], pixels)}
        tensors |= {name: (dtype, shape, bytes.fromhex(data)) for name, (dtype, shape, data) in self.job["guide"].items()}
        write_safetensors(folder / "guide.safetensors", tensors)
        request["guide"] = hashlib.sha256((folder / "guide.safetensors").read_bytes()).hexdigest()
        wan = request["maker"]["wan"]
        move_models(request, lambda path: str(self.place / path))
        wan["models"]["low"] = []
        wan["steps"] = [step | {"expert": "high", "guidance": 1.0} for step in wan["steps"][:count]]
        wan |= change
        (folder / "request.json").write_text(json.dumps(request))
        lines = self.engine([folder], 150, **environment)
        result = json.loads((folder / "result.json").read_text())
        steps = self.step_seconds(lines)
        # A dry run takes none.
        seconds = max(min(steps[1:] or steps), 0.001)
        gigabytes = lambda pairs: {part: round(size / 1e9, 2) for part, size in pairs}
        self.report(
            name,
            steps=steps,
            seconds_a_forward=seconds,
            tflops=round(self.flops() / seconds / 1e12, 2),
            parts={part: round(value, 1) for part, value in result["parts"]},
            gpu_gb=gigabytes(result.get("part_peaks", [])),
            estimated_gb=gigabytes(result.get("part_estimates", [])),
            host_gb=round(result["peak_memory_bytes"] / 1e9, 1),
            notes=[event["message"] for _, event in lines if event.get("type") == "note"],
            environment=environment,
        )
        shutil.rmtree(folder)

    @staticmethod
    def step_seconds(lines):
        part, ticks = None, []
        for at, event in lines:
            if event.get("type") == "part":
                part = event["part"]
                ticks = [at] if part == "denoise" else ticks
            if event.get("type") == "progress" and part == "denoise" and not event.get("share") and event["done"] == len(ticks):
                ticks.append(at)
        return [round(b - a, 3) for a, b in zip(ticks, ticks[1:])]

    def flops(self):
        """Of a forward; a multiplication with an addition is two (arXiv 2503.20314, Wan, section 4.2.3)."""
        dim, ffn, vace = self.facts["dim"], self.facts["ffn"], self.facts["vace"]
        blocks = self.facts["layers"] + (len(vace["layers"]) if vace else 0)
        products = self.rows * 2 * (6 * dim**2 + 2 * dim * ffn) + 4 * 512 * dim**2
        return blocks * (products + 4 * self.rows**2 * dim + 4 * self.rows * 512 * dim)

    def ceilings(self):
        """What the GPU gives to copies, products and attention of these sizes: which floor is real."""
        import torch
        import torch.nn.functional as F
        from torch.nn.attention import SDPBackend, sdpa_kernel

        bf16, f8 = torch.bfloat16, torch.float8_e4m3fn
        rows, dim, ffn = self.rows, self.facts["dim"], self.facts["ffn"]
        random = lambda *shape: torch.randn(*shape, device="cuda", dtype=bf16)

        def milliseconds(work, count=5):
            a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            work()
            taken = []
            for _ in range(count):
                a.record()
                work()
                b.record()
                b.synchronize()
                taken.append(a.elapsed_time(b))
            return sorted(taken)[count // 2]

        x = torch.empty(1 << 30, device="cuda", dtype=torch.uint8).random_()
        y = torch.empty_like(x)
        self.report("ceilings: copy", tb_s=round(2 * x.numel() / milliseconds(lambda: y.copy_(x)) / 1e9, 2))
        del x, y
        for m, n, k in ((8192, 8192, 8192), (4096, dim, dim), (rows, dim, dim), (rows, 3 * dim, dim), (4096, ffn, dim), (rows, ffn, dim), (rows, dim, ffn)):
            a, w, b = random(m, k), random(n, k), random(n)
            ms = milliseconds(lambda: F.linear(a, w, b))
            self.report("ceilings: bf16 product", mnk=[m, n, k], ms=round(ms, 3), tflops=round(2 * m * n * k / ms / 1e9))
        q, k, v = (random(rows, dim // 128, 128).transpose(0, 1).unsqueeze(0) for _ in range(3))
        for backend in (SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION):
            try:
                with sdpa_kernel(backend):
                    ms = milliseconds(lambda: F.scaled_dot_product_attention(q, k, v), 3)
                self.report("ceilings: self-attention", kernel=str(backend), ms=round(ms, 2), tflops=round(4 * rows**2 * dim / ms / 1e9))
            except Exception as error:
                self.report("ceilings: self-attention", kernel=str(backend), failed=str(error)[:200])
        del q, k, v
        a, w = random(rows, dim).to(f8), random(ffn, dim).to(f8)
        one = torch.ones(1, device="cuda")
        by_row = (torch.ones(rows, 1, device="cuda"), torch.ones(1, ffn, device="cuda"))
        for how, scales, out, fast in (("one scale, f32 out, as the engine has it", (one, one), torch.float32, False), ("one scale, bf16 out", (one, one), bf16, False), ("one scale, bf16 out, fast", (one, one), bf16, True), ("a scale a row, bf16 out", by_row, bf16, False), ("a scale a row, bf16 out, fast", by_row, bf16, True)):
            try:
                ms = milliseconds(lambda: torch._scaled_mm(a, w.t(), *scales, out_dtype=out, use_fast_accum=fast))
                self.report("ceilings: fp8 product", how=how, ms=round(ms, 3), tflops=round(2 * rows * ffn * dim / ms / 1e9))
            except Exception as error:
                self.report("ceilings: fp8 product", how=how, failed=str(error)[:200])
        torch.cuda.empty_cache()

    def diffusers(self):
        """The same tensors in diffusers 0.42.1, one forward after the other, in bf16 (f32 on the CPU)."""
        try:
            from diffusers import WanTransformer3DModel, WanVACETransformer3DModel
        except ImportError as error:
            return self.report("diffusers", skipped=str(error))
        import torch
        from safetensors import safe_open

        facts, request = self.facts, self.job["request"]
        device = torch.device(self.args.device)
        kind = torch.bfloat16 if device.type == "cuda" else torch.float32
        config = dict(num_attention_heads=facts["heads"], attention_head_dim=128, in_channels=facts["in_channels"], out_channels=16, text_dim=4096, freq_dim=256)
        config |= dict(ffn_dim=facts["ffn"], num_layers=facts["layers"], cross_attn_norm=True, eps=1e-6, qk_norm="rms_norm_across_heads")
        torch.set_default_dtype(kind)
        with device:
            vace = facts["vace"]
            model = WanVACETransformer3DModel(**config, vace_layers=vace["layers"], vace_in_channels=96) if vace else WanTransformer3DModel(**config)
        path = self.place / request["maker"]["wan"]["models"]["high"][0]
        with safe_open(path, "pt", device=str(device)) as file:
            state = {name: file.get_tensor(name).to(kind) for name in file.keys()}
        torch.set_default_dtype(torch.float32)
        model.load_state_dict(state, assign=True)
        model.eval()
        grid = ((request["frames"] + 3) // 4, request["height"] // 8, request["width"] // 8)
        inputs = dict(hidden_states=torch.randn(1, facts["in_channels"], *grid), encoder_hidden_states=torch.randn(1, 512, 4096), timestep=torch.tensor([800.0]))
        if vace:
            inputs |= dict(control_hidden_states=torch.randn(1, 96, *grid), control_hidden_states_scale=torch.ones(len(vace["layers"])))
        inputs = {name: value.to(device, kind if value.ndim > 1 else None) for name, value in inputs.items()}
        wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
        taken = []
        with torch.inference_mode():
            for _ in range(3):
                wait()
                start = time.perf_counter()
                model(**inputs)
                wait()
                taken.append(round(time.perf_counter() - start, 3))
        peak = round(torch.cuda.max_memory_allocated() / 1e9, 1) if device.type == "cuda" else None
        self.report("diffusers", steps=taken, seconds_a_forward=min(taken[1:]), tflops=round(self.flops() / min(taken[1:]) / 1e12, 2), gpu_gb=peak)


def libraries():
    """Where this Python's torch has its libraries, without importing it."""
    import importlib.util

    spec = importlib.util.find_spec("torch")
    if spec is None:
        sys.exit("gpu_figures: wanted torch 2.11 for CUDA in this Python, found no torch")
    return pathlib.Path(spec.origin).parent / "lib"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    here = commands.add_parser("pack", help="writes the folder, where wanctl is built")
    here.add_argument("folder", nargs="?")
    here.add_argument("--model", default="i2v-14b", choices=["i2v-14b", "vace-14b", "vace-1.3b"])
    here.add_argument("--layers", type=int, help="fewer than the model has: for trials")
    here.add_argument("--size", default="832x480")
    here.add_argument("--frames", type=int, default=81, help="4n+1, at least 21")
    there = commands.add_parser("run", help="measures, on the machine with the GPU")
    there.add_argument("--out", default="out")
    there.add_argument("--limit", type=float, default=470, metavar="SECONDS", help="begins nothing that would take longer")
    there.add_argument("--device", default="cuda:0")
    there.add_argument("--stages", default="", help="only these, such as machine,tiny,model,bf16")
    there.add_argument("--engine", help="another engine program, which finds its own libraries")
    there.add_argument("--place", help="the folder for the weights; stays there")
    there.add_argument("--holes", action="store_true", help="weights are files of holes: for trials")
    args = parser.parse_args()
    pack(args) if args.command == "pack" else Run(args).all()


if __name__ == "__main__":
    main()
