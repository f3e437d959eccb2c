"""Without the checksum only the header is read: ids and the pattern come when asked for."""

from __future__ import annotations

import copy
import pickle
import struct
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_model_file import make_model, read_header, string_ids

import matfac as mf
from conftest import bits, bits_of
from matfac import _core


@pytest.fixture(scope="module")
def R() -> mf.Ratings:
    R = mf.datasets.make_ratings(120, 60, 2000, random_state=5)
    users, items, values = R.to_arrays()
    names = [f"usér {user}" for user in users.tolist()]
    return mf.Ratings.from_arrays(names, [f"i{item}" for item in items.tolist()], values)


@pytest.fixture
def path(R: mf.Ratings, tmp_path: Path) -> Path:
    mf.MatrixFactorization(4, max_iter=2).fit(R).save(tmp_path / "m")
    return tmp_path / "m"


def corrupt(path: Path, tensor: str, index: int, value: int, code: str = "<q") -> None:
    """Change one number of a tensor in its file."""
    data = bytearray(path.read_bytes())
    header, begin = read_header(bytes(data))
    at = begin + header[tensor]["data_offsets"][0] + index * struct.calcsize(code)
    data[at : at + struct.calcsize(code)] = struct.pack(code, value)
    path.write_bytes(data)


@pytest.mark.parametrize("verify", [False, True])
def test_what_is_not_asked_for_is_not_read(path: Path, verify: bool) -> None:
    model = mf.load(path, verify_checksum=verify)
    later = {"user_ids_", "item_ids_", "_seen"}
    assert not later & set(vars(model))
    assert all(hasattr(model, name) for name in later)
    assert later <= set(vars(model))
    assert model.user_ids_ is model.user_ids_ and not model.user_ids_.flags.writeable


def test_an_unfitted_model_has_no_ids() -> None:
    model = mf.MatrixFactorization()
    assert not hasattr(model, "user_ids_") and not hasattr(mf.MatrixFactorization, "user_ids_")
    with pytest.raises(AttributeError, match=r"'MatrixFactorization' .* 'item_ids_'"):
        _ = model.item_ids_


def test_the_answers_are_the_same(R: mf.Ratings, path: Path) -> None:
    first, model = mf.load(path), mf.load(path, verify_checksum=False)
    one = R.user_ids[7].item()
    assert model.recommend(one, 5).ids.tolist() == first.recommend(one, 5).ids.tolist()
    assert bits(*model.recommend(n=5)) == bits(*first.recommend(n=5))
    assert bits(model.predict(R)) == bits(first.predict(R))
    again = path.with_name("again")
    mf.load(path, verify_checksum=False).save(again)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_hold_what_was_not_read(how: Any, R: mf.Ratings, path: Path) -> None:
    expected = bits(mf.load(path).predict(R))
    model = how(mf.load(path, verify_checksum=False))
    path.unlink()
    assert "_unread" not in vars(model)
    assert model._seen is not None and bits(model.predict(R)) == expected


def test_a_fit_replaces_what_was_not_read(path: Path) -> None:
    model = mf.load(path, verify_checksum=False)
    R = mf.datasets.make_ratings(20, 10, 80, random_state=1)
    model.fit(R)
    assert model.user_ids_ is R.user_ids and "_unread" not in vars(model)
    assert bits_of(model) == bits_of(mf.MatrixFactorization(4, max_iter=2).fit(R))


def test_threads_that_ask_at_once_get_the_same(path: Path) -> None:
    model = mf.load(path, verify_checksum=False)
    start, found = threading.Barrier(4), []

    def ask() -> None:
        start.wait()
        found.append(model.item_ids_)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(ids) for ids in found}) == 1


ATTRIBUTES = {"user_ids": "user_ids_", "item_ids": "item_ids_", "seen": "_seen"}


@pytest.mark.parametrize(
    ("tensor", "index", "value", "code", "rule"),
    [
        ("user_ids.offsets", 0, 1, "<q", "must begin with 0"),
        ("user_ids.offsets", 3, -1, "<q", "never fall"),
        ("user_ids.offsets", 3, 2**62, "<q", "never fall"),
        ("item_ids.offsets", 60, 2**40, "<q", "must end with the length"),
        ("seen.offsets", 5, 2**50, "<q", "never fall"),
        ("seen.offsets", 120, 2**50, "<q", "must end with the length"),
        ("seen.items", 9, 2**30, "<i", "out of range"),
        ("seen.items", 9, -7, "<i", "out of range"),
        ("user_ids.text", 2, 0xFF, "<B", "UTF-8|utf-8"),
        ("item_ids.text", 0, 0xFF, "<B", "UTF-8|utf-8"),  # all others are ASCII
        ("user_ids.offsets", 1, 3, "<q", "within a character"),
    ],
)
def test_damage_is_refused_before_it_is_used(
    tensor: str, index: int, value: int, code: str, rule: str, path: Path
) -> None:
    corrupt(path, tensor, index, value, code)
    model = mf.load(path, verify_checksum=False)
    damaged = ATTRIBUTES[tensor.split(".")[0]]
    for _ in range(2):  # and it stays so
        with pytest.raises(mf.ModelFileError, match=rule) as caught:
            getattr(model, damaged)
        assert str(path) in str(caught.value)
    with pytest.raises(mf.ModelFileError, match=rule):
        model.recommend()
    with pytest.raises(mf.ModelFileError, match=rule):
        pickle.dumps(model)
    for other in set(ATTRIBUTES.values()) - {damaged}:
        assert getattr(model, other) is not None
    with pytest.raises(mf.ModelFileError, match="altered"):
        mf.load(path)


def test_an_id_that_is_too_long_is_refused(tmp_path: Path) -> None:
    """With the checksum at once, without it when the ids are asked for."""
    for long, fault in (("a" * 1025, True), ("é" * 1024, False)):
        ids = string_ids(["", long, *("é", "日本", "𝄞")])
        if not fault:
            ids = string_ids(["", "a", long, "日本", "𝄞"])
        _core.save_model(tmp_path / "m", **make_model() | {"user_ids": ids})
        later = mf.load(tmp_path / "m", verify_checksum=False)
        if fault:
            with pytest.raises(mf.ModelFileError, match="at most 1,024"):
                mf.load(tmp_path / "m")
            with pytest.raises(mf.ModelFileError, match="at most 1,024"):
                later.predict("a", 1)
        else:
            assert mf.load(tmp_path / "m").user_ids_[2] == long
            assert later.user_ids_.tolist() == ["", "a", long, "日本", "𝄞"]


ALPHABETS = ["a", "aé", "é日𝄞", "\n\"' "]


@pytest.mark.parametrize("alphabet", ALPHABETS)
def test_strings_are_decoded_as_python_does(alphabet: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(len(alphabet))
    strings = {"".join(rng.choice(list(alphabet), rng.integers(0, 9))) for _ in range(200)}
    expected = sorted(strings)
    model = make_model(n_users=len(expected)) | {"user_ids": string_ids(expected)}
    _core.save_model(tmp_path / "m", **model)
    found = mf.load(tmp_path / "m").user_ids_
    assert found.tolist() == expected
    assert found.dtype == np.array(expected).dtype and found.dtype.isnative


@pytest.mark.parametrize("ids", [[], [""]])
def test_no_strings_at_all(ids: list[str], tmp_path: Path) -> None:
    model = make_model(n_users=len(ids), seen=False) | {"user_ids": string_ids(ids)}
    _core.save_model(tmp_path / "m", **model)
    loaded = mf.load(tmp_path / "m", verify_checksum=False)
    assert (
        loaded.user_ids_.tolist() == ids and loaded.user_ids_.dtype == np.array(ids, np.str_).dtype
    )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_opening_reads_the_header_only(tmp_path: Path) -> None:
    """Of strings and a pattern of some megabytes no page is touched before they are asked for."""
    n = 200_000
    offsets = np.arange(n + 1, dtype=np.int64) * 6
    text = np.frombuffer(b"".join(b"%06d" % i for i in range(n)), np.uint8)
    seen = (np.arange(n + 1, dtype=np.int64) * 4, np.tile(np.arange(4, dtype=np.int32), n))
    model = make_model(n_users=n) | {"user_ids": (offsets, text), "seen": seen}
    path = tmp_path / "m"
    _core.save_model(path, **model)

    def resident() -> int:
        """Kilobytes of the mapping that this process has touched."""
        inside, total = False, 0
        for line in Path("/proc/self/smaps").read_text().splitlines():
            if "-" in line.split()[0] and line[0] in "0123456789abcdef":
                inside = line.endswith(str(path))
            elif inside and line.startswith("Rss:"):
                total += int(line.split()[1])
        return total

    loaded = mf.load(path, verify_checksum=False)
    assert resident() <= 256  # the system maps some pages around the one it is asked for
    assert loaded.predict("000007", 1) is not None
    assert loaded._seen is not None and resident() > 2000
