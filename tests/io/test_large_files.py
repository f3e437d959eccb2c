"""Large files are mapped, not read; and no file makes its reader take memory on its word."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

linux_only = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")

PRELUDE = """
import resource, sys
import matfac as mf

def memory(key):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(key)) // 1024
"""


def run_child(script: str, *arguments: object) -> str:
    command = [sys.executable, "-c", PRELUDE + script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def write_sparse(path: Path, n_users: int, n_factors: int, values: dict[str, list[Any]]) -> int:
    """A model of one item whose tensors are holes, but for their last entries. Returns its size."""
    shapes = {
        "user_ids": ("I64", [n_users]),
        "item_ids": ("I64", [1]),
        "user_factors": ("F32", [n_users, n_factors]),
        "item_factors": ("F32", [1, n_factors]),
    }
    metadata = {
        "format": "matfac",
        "format_version": "1",
        "library_version": "0.1.0",
        "n_users": str(n_users),
        "n_items": "1",
        "n_factors": str(n_factors),
        "dtype": "float32",
        "global_mean": (0.5).hex(),
        "checksum": "xxh64:" + "0" * 16,
    }
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    ends = {}
    for name, (dtype, shape) in shapes.items():
        begin, end = end, end + (8 if dtype == "I64" else 4) * shape[0] * ([*shape, 1])[1]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
        ends[name] = (end, "<q" if dtype == "I64" else "<f")
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 64)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text) + 56) + text + b" " * 56)
        data = file.tell()
        file.truncate(data + end)
        for name, entries in values.items():
            last, code = ends[name]
            file.seek(data + last - len(entries) * struct.calcsize(code))
            file.write(b"".join(struct.pack(code, entry) for entry in entries))
    return data + end


@linux_only
def test_a_file_of_more_than_ten_gigabytes_is_opened_lazily(tmp_path: Path) -> None:
    path, n_users = tmp_path / "large.safetensors", 40_000_000
    values = {"user_ids": [7], "user_factors": [1.0, 2.0], "item_factors": [3.0, 4.0]}
    size = write_sparse(path, n_users, 64, values)
    assert size > 10e9
    if path.stat().st_blocks * 512 > 1e9:
        path.unlink()
        pytest.skip("this file system has no files with holes")
    script = """
before = memory("VmRSS")
model = mf.load(sys.argv[1], verify_checksum=False)
score = model.predict(7, 0)  # the last user: a search in the ids, and one row
best = model.recommend(7, 1, exclude_seen=False)
print(len(model.user_ids_), model.user_factors_.shape, score, best.ids[0], best.scores[0])
assert memory("VmHWM") - before < 100, (before, memory("VmHWM"))
"""
    found = run_child(script, path)
    assert found == f"{n_users} ({n_users}, 64) 11.5 0 11.5"
    path.unlink()


HOSTILE: dict[str, Any] = {
    "a header that claims more than there is": struct.pack("<Q", 99_999_999) + b"{" * 100,
    "a header that claims everything": struct.pack("<Q", 2**64 - 1) + b"{}",
    "nested deeply": b'{"a":{"shape":' + b"[" * 1_000_000,
    "objects nested deeply": b'{"a":' * 200_000,
    "one long string": b'{"a":{"dtype":"' + b"x" * 1_000_000,
    "escapes": b'{"' + rb"\u0041" * 200_000 + b'":1}',
    "one long number": b'{"a":{"shape":[' + b"9" * 1_000_000,
    "a thousand keys and more": b"{"
    + b",".join(b'"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}' % i for i in range(5000))
    + b"}",
    "a shape that overflows": b'{"a":{"dtype":"F64","shape":[4294967296,4294967296],'
    b'"data_offsets":[0,0]}}',
    "a tensor of many gigabytes": b'{"a":{"dtype":"F32","shape":[100000000000],'
    b'"data_offsets":[0,400000000000]}}',
    "offsets beyond all numbers": b'{"a":{"dtype":"U8","shape":[1],'
    b'"data_offsets":[9223372036854775807,9223372036854775808]}}',
    "the same key twice": b'{"__metadata__":{},"__metadata__":{}}',
    "tensors that overlap": b'{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},'
    b'"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}',
}


@linux_only
def test_hostile_files_are_refused_within_little_memory(tmp_path: Path) -> None:
    """Under a limit of the whole address space: what is asked for beyond it fails loudly."""
    for i, content in enumerate(HOSTILE.values()):
        if content[:1] != b"{":
            (tmp_path / f"{i:02d}").write_bytes(content)
        else:
            header = content + b" " * (-len(content) % 8)
            (tmp_path / f"{i:02d}").write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    script = """
import os
try:
    mf.load(sys.argv[1])
except OSError:
    pass
limit = memory("VmSize") + 24
resource.setrlimit(resource.RLIMIT_AS, (limit << 20, limit << 20))
for path in sorted(os.listdir(sys.argv[1])):
    for verify in (False, True):
        try:
            mf.load(os.path.join(sys.argv[1], path), verify_checksum=verify)
        except mf.ModelFileError as error:
            assert len(str(error)) < 2000
            print("refused", end=" ")
"""
    found = run_child(script, tmp_path)
    assert found.split() == ["refused"] * 2 * len(HOSTILE)
    assert len(os.listdir(tmp_path)) == len(HOSTILE)


@linux_only
def test_loading_neither_reads_nor_copies_the_factors(tmp_path: Path) -> None:
    script = """
import numpy as np
from matfac import _core
factors = np.ones((1_000_000, 32), np.float32)  # 128 MB
ids = np.arange(1_000_000)
_core.save_model(sys.argv[1], factors, factors[:9], None, None, 0.0, ids, ids[:9], None, {})
"""
    run_child(script, tmp_path / "m")
    script = """
before = memory("VmRSS")
models = [mf.load(sys.argv[1], verify_checksum=False) for _ in range(5)]
assert [m.predict(999_999, 3) for m in models] == [32.0] * 5
assert memory("VmHWM") - before < 40, (before, memory("VmHWM"))
anonymous = memory("RssAnon")
full = mf.load(sys.argv[1])  # reads every page, which stays the file's
assert memory("RssAnon") - anonymous < 20
print("mapped")
"""
    assert run_child(script, tmp_path / "m") == "mapped"
