"""The model file through the extension module, and as others see it."""

from __future__ import annotations

import gc
import json
import os
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import matfac as mf
from matfac import _core

PARAMETERS = ("user_factors", "item_factors", "user_biases", "item_biases")
posix_only = pytest.mark.skipif(os.name != "posix", reason="POSIX semantics")
linux_only = pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="reads /proc")


def string_ids(ids: list[str]) -> tuple[np.ndarray, np.ndarray]:
    encoded = [i.encode() for i in ids]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    return offsets, np.frombuffer(b"".join(encoded), np.uint8)


def make_model(
    dtype: str = "float32",
    *,
    biases: bool = True,
    strings: bool = False,
    seen: bool = True,
    n_users: int = 5,
    n_factors: int = 3,
) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    n_items = 4
    items = ["", "a", "é", "日本"]
    return {
        "user_factors": rng.normal(size=(n_users, n_factors)).astype(dtype),
        "item_factors": rng.normal(size=(n_items, n_factors)).astype(dtype),
        "user_biases": rng.normal(size=n_users).astype(dtype) if biases else None,
        "item_biases": rng.normal(size=n_items).astype(dtype) if biases else None,
        "global_mean": 1 / 3,
        "user_ids": np.arange(n_users, dtype=np.int64) * 3 - 4,
        "item_ids": string_ids(items) if strings else np.arange(n_items, dtype=np.int64),
        "seen": (
            (np.minimum(np.arange(n_users + 1), 3), np.array([1, 0, 3], np.int32)) if seen else None
        ),
        "metadata": {"solver": "als", "note": 'say "é"\n'},
    }


def assert_same(loaded: Any, saved: Any) -> None:
    if isinstance(saved, np.ndarray):
        assert loaded.dtype == saved.dtype
        assert loaded.shape == saved.shape
        assert loaded.tobytes() == saved.tobytes()
    elif isinstance(saved, (tuple, dict)):
        assert type(loaded) is type(saved)
        assert len(loaded) == len(saved)
        keys = saved if isinstance(saved, dict) else range(len(saved))
        for key in keys:
            assert_same(loaded[key], saved[key])
    else:
        assert loaded == saved


def read_header(data: bytes) -> tuple[dict[str, Any], int]:
    """The header and where the data section begins: docs/file-format.md in two lines."""
    begin = 8 + struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8:begin]), begin


def assert_loads(path: str | Path, saved: dict[str, Any], **how: bool) -> None:
    """The file gives back what was saved, and where it says that it comes from."""
    loaded = _core.load_model(path, **how)
    metadata = read_header(Path(path).read_bytes())[0]["__metadata__"]
    for key in ("library_version", "checksum"):
        assert loaded.pop(key) == metadata[key]
    assert_same(loaded, saved)


def xxh64(data: bytes) -> int:
    """XXH64 with seed 0, as docs/file-format.md specifies it."""
    p1, p2, p3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
    p4, p5, mask = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5, (1 << 64) - 1

    def rotl(x: int, n: int) -> int:
        x &= mask
        return (x << n | x >> (64 - n)) & mask

    def mix(lane: int, word: int) -> int:
        return rotl(lane + word * p2, 31) * p1 & mask

    at, h = 0, p5
    if len(data) >= 32:
        lanes = [(p1 + p2) & mask, p2, 0, -p1 & mask]
        while len(data) - at >= 32:
            words = struct.unpack_from("<4Q", data, at)
            lanes = [mix(lane, word) for lane, word in zip(lanes, words, strict=True)]
            at += 32
        h = sum(rotl(lane, n) for lane, n in zip(lanes, (1, 7, 12, 18), strict=True)) & mask
        for lane in lanes:
            h = ((h ^ mix(0, lane)) * p1 + p4) & mask
    h = (h + len(data)) & mask
    while len(data) - at >= 8:
        h = (rotl(h ^ mix(0, struct.unpack_from("<Q", data, at)[0]), 27) * p1 + p4) & mask
        at += 8
    if len(data) - at >= 4:
        word = struct.unpack_from("<I", data, at)[0]
        h = (rotl(h ^ (word * p1 & mask), 23) * p2 + p3) & mask
        at += 4
    for byte in data[at:]:
        h = rotl(h ^ (byte * p5 & mask), 11) * p1 & mask
    h = (h ^ h >> 33) * p2 & mask
    h = (h ^ h >> 29) * p3 & mask
    return h ^ h >> 32


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("biases", [False, True])
@pytest.mark.parametrize("strings", [False, True])
@pytest.mark.parametrize("seen", [False, True])
@pytest.mark.parametrize("verify", [False, True])
def test_round_trip(
    tmp_path: Path, dtype: str, biases: bool, strings: bool, seen: bool, verify: bool
) -> None:
    model = make_model(dtype, biases=biases, strings=strings, seen=seen)
    _core.save_model(tmp_path / "m", **model)
    assert_loads(tmp_path / "m", model, verify_checksum=verify)


def test_arrays_are_read_only_views_that_keep_the_mapping_alive(tmp_path: Path) -> None:
    model = make_model()
    _core.save_model(tmp_path / "m", **model)
    loaded = _core.load_model(tmp_path / "m")
    for array in (loaded["user_factors"], loaded["user_ids"], *loaded["seen"]):
        assert not array.flags.writeable
        assert not array.flags.owndata
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.setflags(write=True)
    factors = loaded["item_factors"][1:]
    if os.name == "posix":
        (tmp_path / "m").unlink()
    del loaded
    gc.collect()
    assert_same(np.array(factors), model["item_factors"][1:])


def test_the_file_is_what_its_document_says(tmp_path: Path) -> None:
    model = make_model(strings=True)
    _core.save_model(tmp_path / "m", **model)
    data = (tmp_path / "m").read_bytes()
    header, begin = read_header(data)
    metadata = header.pop("__metadata__")
    checksum = metadata.pop("checksum")
    assert metadata == {
        "format": "matfac",
        "format_version": "1",
        "library_version": metadata["library_version"],
        "n_users": "5",
        "n_items": "4",
        "n_factors": "3",
        "dtype": "float32",
        "global_mean": (1 / 3).hex(),
        **model["metadata"],
    }
    assert float.fromhex(metadata["global_mean"]) == 1 / 3
    zeroed = data.replace(checksum.encode(), b"xxh64:" + b"0" * 16)
    assert checksum == f"xxh64:{xxh64(zeroed):016x}"
    assert list(header) == [
        "user_ids",
        "item_ids.offsets",
        "seen.offsets",
        "user_factors",
        "item_factors",
        "user_biases",
        "item_biases",
        "seen.items",
        "item_ids.text",
    ]
    assert (begin + header["user_factors"]["data_offsets"][0]) % 64 == 0
    first, last = header["user_factors"]["data_offsets"]
    assert data[begin + first : begin + last] == model["user_factors"].tobytes()


def test_the_example_of_the_document_is_a_file(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "file-format.md"
    lines = (
        page.read_text(encoding="utf-8").split("## 8. An example")[1].split("```")[1].splitlines()
    )
    lines = [line[7:] for line in lines if line.strip()]
    last = next(i for i, line in enumerate(lines) if line.endswith("and 44 spaces"))
    header = "".join(lines[1 : last + 1]).removesuffix(" and 44 spaces").encode() + b" " * 44
    data = b"".join(bytes.fromhex(line[:48].strip()) for line in lines[last + 1 :])
    expected = bytes.fromhex(lines[0]) + header + data
    assert len(expected) == 650
    (tmp_path / "example").write_bytes(expected)
    loaded = _core.load_model(tmp_path / "example")
    assert (loaded["user_factors"][0, 0], loaded["global_mean"]) == (1.5, 3.5)
    loaded.pop("checksum")
    if loaded.pop("library_version") == _core.__version__:
        _core.save_model(tmp_path / "m", **loaded)
        assert (tmp_path / "m").read_bytes() == expected


def test_xxh64_twin_agrees_with_the_published_vectors() -> None:
    assert xxh64(b"") == 0xEF46DB3751D8E999
    assert xxh64(b"abc") == 0x44BC2CF5AD770999


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_public_library_reads_it(tmp_path: Path, dtype: str) -> None:
    safetensors = pytest.importorskip("safetensors")
    numpy_reader = pytest.importorskip("safetensors.numpy")
    model = make_model(dtype, strings=True, n_factors=16)
    _core.save_model(tmp_path / "m", **model)
    tensors = numpy_reader.load_file(tmp_path / "m")
    for name in PARAMETERS:
        assert_same(tensors[name], model[name])
    assert_same(tensors["user_ids"], model["user_ids"])
    assert_same((tensors["item_ids.offsets"], tensors["item_ids.text"]), model["item_ids"])
    assert_same((tensors["seen.offsets"], tensors["seen.items"]), model["seen"])
    with safetensors.safe_open(tmp_path / "m", framework="numpy") as f:
        assert model["metadata"].items() <= f.metadata().items()


def test_a_file_rewritten_by_the_public_library_has_a_stale_checksum(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors")
    numpy_library = pytest.importorskip("safetensors.numpy")
    model = make_model(strings=True)
    _core.save_model(tmp_path / "m", **model)
    with safetensors.safe_open(tmp_path / "m", framework="numpy") as f:
        metadata = f.metadata()
    numpy_library.save_file(numpy_library.load_file(tmp_path / "m"), tmp_path / "r", metadata)
    with pytest.raises(_core.ModelFileError, match="another program"):
        _core.load_model(tmp_path / "r")
    assert_loads(tmp_path / "r", model, verify_checksum=False)


def test_biases_on_one_side_alone_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m"
    _core.save_model(path, **make_model(biases=False, seen=False))
    data = path.read_bytes()
    header, begin = read_header(data)
    end = len(data) - begin
    header["item_biases"] = {"dtype": "F32", "shape": [4], "data_offsets": [end, end + 16]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 64)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[begin:] + bytes(16))
    with pytest.raises(_core.ModelFileError, match="both sides"):
        _core.load_model(path, verify_checksum=False)


def test_content_errors_are_value_errors(tmp_path: Path) -> None:
    assert issubclass(_core.ModelFileError, ValueError)
    assert not issubclass(_core.ModelFileError, OSError)
    path = tmp_path / "m"
    _core.save_model(path, **make_model())
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(_core.ModelFileError, match="altered") as caught:
        _core.load_model(path)
    assert str(path) in str(caught.value)
    path.write_bytes(data[:100])
    with pytest.raises(_core.ModelFileError, match="truncated"):
        _core.load_model(path, verify_checksum=False)


def test_system_errors_are_os_errors(tmp_path: Path) -> None:
    model = make_model()
    with pytest.raises(FileNotFoundError) as caught:
        _core.load_model(tmp_path / "none")
    assert caught.value.filename == tmp_path / "none"
    with pytest.raises(FileNotFoundError):
        _core.save_model(tmp_path / "none" / "m", **model)
    if os.name == "posix":
        with pytest.raises(IsADirectoryError):
            _core.load_model(tmp_path)
        with pytest.raises(IsADirectoryError):
            _core.save_model(tmp_path, **model)
        with pytest.raises(_core.ModelFileError, match="device"):
            _core.save_model("/dev/full", **model)
    with pytest.raises(ValueError, match="null"):
        _core.load_model("a\0b")
    assert list(tmp_path.iterdir()) == []


@linux_only
def test_a_path_need_not_be_utf8(tmp_path: Path) -> None:
    model = make_model()
    path = os.fsencode(tmp_path) + b"/\xff\xfe"
    _core.save_model(path, **model)
    assert_loads(os.fsdecode(path), model)
    Path(os.fsdecode(path)).write_bytes(b"short")
    with pytest.raises(_core.ModelFileError, match=r"\\xff"):
        _core.load_model(path)


@pytest.mark.parametrize(
    ("change", "error", "phrase"),
    [
        ({"user_factors": [[1.0]]}, TypeError, "incompatible"),
        ({"user_factors": np.ones((5, 3), np.float16)}, TypeError, "incompatible"),
        ({"item_factors": np.ones((4, 3))}, TypeError, "incompatible"),
        ({"user_factors": np.ones((3, 5), np.float32).T}, TypeError, "incompatible"),
        ({"user_factors": np.ones(15, np.float32)}, ValueError, "2 dimension"),
        ({"user_factors": np.full((5, 3), np.nan, np.float32)}, ValueError, "user_factors"),
        ({"user_biases": np.ones(0, np.float32)}, ValueError, "user_biases"),
        ({"user_biases": [1.0]}, TypeError, "incompatible"),
        ({"global_mean": float("inf")}, ValueError, "mean"),
        ({"user_ids": np.arange(5, dtype=np.int32)}, TypeError, "incompatible"),
        ({"user_ids": np.zeros((5, 1), np.int64)}, ValueError, "1 dimension"),
        ({"user_ids": np.zeros(5, np.int64)}, ValueError, "strictly ascending"),
        ({"user_ids": np.arange(4)}, ValueError, "user_ids has 4 ids, expected 5"),
        ({"user_ids": ["a"]}, TypeError, "incompatible"),
        ({"user_ids": string_ids(["b", "a", "c", "d", "e"])}, ValueError, "strictly ascending"),
        ({"seen": (np.zeros(3, np.int64), np.zeros(0, np.int32))}, ValueError, "n_users"),
        ({"seen": (np.zeros(6, np.int64), np.zeros(1, np.int32))}, ValueError, "must end with"),
        ({"seen": (np.array([0, 9, 1, 1, 1, 1]), np.zeros(1, np.int32))}, ValueError, "offsets"),
        ({"user_ids": string_ids(["a", "a\0", "c", "d", "e"])}, ValueError, "null character"),
        ({"metadata": {"n_users": "5"}}, ValueError, "belongs to the file format"),
        ({"metadata": {"a": 1}}, TypeError, "incompatible"),
    ],
)
def test_what_makes_no_model_is_refused(
    tmp_path: Path, change: dict[str, Any], error: type[Exception], phrase: str
) -> None:
    with pytest.raises(error, match=phrase):
        _core.save_model(tmp_path / "m", **make_model() | change)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "phrase"),
    [
        ({"metadata": {"history_": "[" * 100_000}}, "lists of numbers"),
        ({"metadata": {"regularization": '"x"'}}, "regularization"),
        ({"metadata": {"regularization": "[1, 2, 3]"}}, "regularization"),
        ({"metadata": {"regularization": "{}"}}, "regularization"),
        ({"metadata": {"estimator": "Nonsense"}}, "estimator"),
        ({"user_ids": string_ids(["a" * 1025, "b", "c", "d", "e"])}, "at most 1,024"),
    ],
)
def test_entries_that_make_no_model_are_refused_by_the_package(
    tmp_path: Path, change: dict[str, Any], phrase: str
) -> None:
    _core.save_model(tmp_path / "m", **make_model() | change)
    with pytest.raises(mf.ModelFileError, match=phrase):
        mf.load(tmp_path / "m")


PRELUDE = """
import os, resource, signal, sys
import numpy as np
from matfac import _core

def save(path, n_users):
    factors = np.ones((n_users, 64), np.float32)
    ids = np.arange(n_users)
    _core.save_model(path, factors, factors[:1], None, None, 0.0, ids, ids[:1], None, {})
"""


def run_child(script: str, *arguments: str) -> str:
    command = [sys.executable, "-c", PRELUDE + script, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that other users may enter, unlike tmp_path."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@posix_only
def test_a_new_file_respects_the_umask_and_an_old_one_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "m"
    run_child("os.umask(0o027); save(sys.argv[1], 2)", str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o604)
    run_child("os.umask(0o077); save(sys.argv[1], 2)", str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o604


@posix_only
def test_what_may_not_be_read_or_written_raises_permission_error(open_directory: Path) -> None:
    path = open_directory / "m"
    path.write_bytes(b"earlier")
    path.chmod(0o400)
    script = """
if os.geteuid() == 0:
    os.setuid(65534)
else:
    os.chmod(sys.argv[1], 0)
    os.chmod(os.path.dirname(sys.argv[1]), 0o555)
for call in (
    lambda: _core.load_model(sys.argv[1]),
    lambda: save(sys.argv[1], 2),
    lambda: save(sys.argv[1] + "2", 2),
):
    try:
        call()
    except PermissionError as error:
        print(error.errno)
"""
    assert run_child(script, str(path)).split() == ["13"] * 3
    open_directory.chmod(0o755)
    path.chmod(0o600)
    assert path.read_bytes() == b"earlier"
    assert os.listdir(open_directory) == ["m"]


@posix_only
def test_a_save_that_runs_out_of_space_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "m"
    run_child("save(sys.argv[1], 10)", str(path))
    earlier = path.read_bytes()
    script = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    save(sys.argv[1], 10_000)
except OSError as error:
    print(error.strerror)
"""
    assert "File too large" in run_child(script, str(path))
    assert path.read_bytes() == earlier
    assert os.listdir(tmp_path) == ["m"]


def has_unnamed_files(directory: Path) -> bool:
    try:
        os.close(os.open(directory, os.O_TMPFILE | os.O_WRONLY))
    except OSError:
        return False
    return True


def bytes_written(pid: int | str) -> int:
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("wchar")).split()[1])


@linux_only
def test_a_killed_save_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "m"
    run_child("save(sys.argv[1], 10)", str(path))
    earlier = path.read_bytes()
    script = PRELUDE + "save(sys.argv[1], 1_000_000)"  # 256 MB: long enough to be met half-way
    with subprocess.Popen([sys.executable, "-c", script, str(path)]) as child:
        while bytes_written(child.pid) < 20_000_000:
            assert child.poll() is None
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    assert path.read_bytes() == earlier
    if has_unnamed_files(tmp_path):
        assert os.listdir(tmp_path) == ["m"]


@linux_only
def test_saving_releases_the_gil(tmp_path: Path) -> None:
    factors = np.ones((500_000, 64), np.float32)
    ids = np.arange(500_000)
    arguments: tuple[Any, ...] = (factors, factors[:1], None, None, 0.0, ids, ids[:1], None, {})
    for _ in range(20):  # this thread may be unlucky and sleep all the while
        before = bytes_written("self")
        thread = threading.Thread(target=_core.save_model, args=(tmp_path / "m", *arguments))
        thread.start()
        seen = set()
        while thread.is_alive():
            seen.add(bytes_written("self") - before)
        thread.join()
        if any(1 << 20 <= n < factors.nbytes for n in seen):
            return
    pytest.fail("no Python ran while the file was written")


@linux_only
def test_a_file_of_many_gigabytes_opens_without_being_read(tmp_path: Path) -> None:
    n_users, n_factors = 1 << 25, 96  # 12.9 GB of factors, all of it a hole
    sizes = {"user_ids": 8 * n_users, "item_ids": 8, "user_factors": 4 * n_factors * n_users}
    sizes["item_factors"] = 4 * n_factors
    shapes = {
        "user_ids": [n_users],
        "item_ids": [1],
        "user_factors": [n_users, n_factors],
        "item_factors": [1, n_factors],
    }
    metadata = {
        "format": "matfac",
        "format_version": "1",
        "library_version": "0",
        "n_users": str(n_users),
        "n_items": "1",
        "n_factors": str(n_factors),
        "dtype": "float32",
        "global_mean": "0x0.0000000000000p-1022",
        "checksum": "xxh64:" + "0" * 16,
    }
    header: dict[str, Any] = {"__metadata__": metadata}
    begin = 0
    for name, size in sizes.items():
        dtype = "I64" if name.endswith("ids") else "F32"
        header[name] = {
            "dtype": dtype,
            "shape": shapes[name],
            "data_offsets": [begin, begin + size],
        }
        begin += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 64)
    path = tmp_path / "m"
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + begin)
    if path.stat().st_blocks * 512 > 1 << 20:
        path.unlink()
        pytest.skip("this file system has no sparse files")
    model = _core.load_model(path, verify_checksum=False)
    assert model["user_factors"].shape == (n_users, n_factors)
    assert not model["user_factors"][[0, n_users // 2, -1]].any()
    resident = 0  # kB of the mapping in memory
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if line.endswith(str(path)):
            inside = True
        elif inside and line.startswith("Rss:"):
            resident += int(line.split()[1])
            inside = False
    assert 0 < resident < 10_000
    del model
    path.unlink()
