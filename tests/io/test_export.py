"""Exports, each read back by the library that it is for: the same numbers, the same ranking."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import matfac as mf
from conftest import run_python

N = 10
#: Two ways of rounding a sum of F products, relative to the largest score.
TOLERANCE = {"float32": 2e-6, "float64": 1e-14}


def make_model(biases: bool, dtype: str, strings: bool) -> Any:
    R = mf.datasets.make_ratings(80, 50, 1500, random_state=6)
    if strings:
        users, items, values = R.to_arrays()
        R = mf.Ratings.from_arrays([f"ü{u}" for u in users], [f"日{i}" for i in items], values)
    return mf.MatrixFactorization(7, biases=biases, dtype=dtype, max_iter=3, random_state=1).fit(R)


MODELS = {
    "biases": (True, "float32", False),
    "plain": (False, "float32", True),
    "double": (True, "float64", True),
}


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> Any:
    return make_model(*MODELS[request.param])


def estimates(model: Any) -> np.ndarray:
    """All of them, in float64, from the formula."""
    result = model.user_factors_.astype(float) @ model.item_factors_.T.astype(float)
    if model.user_biases_ is not None:
        result += model.user_biases_[:, None].astype(float) + model.item_biases_.astype(float)
    return result + model.global_mean_


def offsets_of(model: Any) -> Any:
    """What the inner product leaves out, for each user."""
    biases = 0.0 if model.user_biases_ is None else model.user_biases_.astype(float)
    return (model.global_mean_ + biases) * np.ones(len(model.user_ids_))


def assert_ranks_like_recommend(model: Any, codes: np.ndarray, products: np.ndarray) -> None:
    """In float32, whatever the model's dtype."""
    expected = model.recommend(n=N, exclude_seen=False)
    found = products + offsets_of(model)[:, None]
    allowed = TOLERANCE["float32"] * np.abs(expected.scores).max()
    assert np.abs(found - expected.scores).max() <= allowed
    # The same items, but for neighbours that rounding cannot tell apart.
    ids = model.item_ids_[codes]
    exact = estimates(model)
    for n, k in zip(*np.nonzero(ids != expected.ids), strict=True):
        mine = exact[n, codes[n, k]]
        assert abs(mine - expected.scores[n, k]) <= allowed
    assert (ids == expected.ids).mean() > 0.99


def test_vectors_multiply_to_the_estimates(model: Any) -> None:
    products = mf.export.query_vectors(model) @ mf.export.item_vectors(model).T
    expected = estimates(model)
    scale = TOLERANCE[model.dtype] * np.abs(expected).max()
    assert np.abs(products + offsets_of(model)[:, None] - expected).max() <= scale
    users = model.user_ids_[[3, 1]]
    assert np.array_equal(
        mf.export.query_vectors(model, users), mf.export.query_vectors(model)[[3, 1]]
    )
    one = mf.export.query_vectors(model, users[0])
    assert one.shape == (1, products.shape[1] and mf.export.item_vectors(model).shape[1])
    unknown = "nobody" if model.user_ids_.dtype.kind == "U" else -5
    with pytest.warns(UserWarning, match="1 "):
        rows = mf.export.query_vectors(model, [unknown, users[0]])
    assert not rows[0, :7].any() and np.array_equal(rows[1], one[0])


def test_numpy_reads_it(model: Any, tmp_path: Path) -> None:
    assert mf.export.write(model, tmp_path / "m.npz") == [tmp_path / "m.npz"]
    with np.load(tmp_path / "m.npz", allow_pickle=False) as arrays:
        for name in ("user_ids", "item_ids", "user_factors", "item_factors"):
            expected = getattr(model, name if name.endswith("ids_") else f"{name}_")
            assert arrays[name].tobytes() == expected.tobytes()
            assert arrays[name].dtype == expected.dtype
        assert arrays["global_mean"] == model.global_mean_
        assert ("item_biases" in arrays) == (model.item_biases_ is not None)
        if model.item_biases_ is not None:
            assert np.array_equal(arrays["item_biases"], model.item_biases_)
            assert np.array_equal(arrays["user_biases"], model.user_biases_)
    assert np.shares_memory(mf.export.to_numpy(model)["user_factors"], model.user_factors_)


def test_arrow_and_parquet_read_it(model: Any, tmp_path: Path) -> None:
    import pandas as pd
    import pyarrow.parquet as pq

    written = mf.export.write(model, tmp_path / "m.parquet")
    assert [path.name for path in written] == ["m.users.parquet", "m.items.parquet"]
    for path, side in zip(written, ("user", "item"), strict=True):
        ids, factors = getattr(model, f"{side}_ids_"), getattr(model, f"{side}_factors_")
        biases = getattr(model, f"{side}_biases_")
        table = pq.read_table(path)
        assert table["id"].to_pylist() == ids.tolist()
        flat = table["factors"].combine_chunks().flatten().to_numpy()
        assert flat.dtype == factors.dtype and flat.tobytes() == factors.tobytes()
        assert ("bias" in table.column_names) == (biases is not None)
        if biases is not None:
            assert table["bias"].to_numpy().tobytes() == biases.tobytes()
        mean = float.fromhex(table.schema.metadata[b"global_mean"].decode())
        assert mean == model.global_mean_
        frame = pd.read_parquet(path)
        assert np.array_equal(np.stack(frame["factors"].tolist()), factors)
    numbers = mf.export.to_arrow(model)["factors"].chunk(0).flatten().to_numpy()
    assert np.shares_memory(numbers, model.item_factors_)
    with pytest.raises(ValueError, match="'items' or 'users'"):
        mf.export.to_arrow(model, "both")  # type: ignore[arg-type]


def test_faiss_ranks_alike(model: Any, tmp_path: Path) -> None:
    import faiss

    paths = mf.export.write(model, tmp_path / "m.faiss")
    index = faiss.read_index(str(paths[0]))
    beside = np.load(paths[1], allow_pickle=False)
    assert np.array_equal(beside["item_ids"], model.item_ids_)
    assert np.array_equal(beside["user_ids"], model.user_ids_)
    assert index.ntotal == len(model.item_ids_) and index.metric_type == faiss.METRIC_INNER_PRODUCT
    products, codes = index.search(beside["queries"], N)
    assert_ranks_like_recommend(model, codes, products)


def test_hnswlib_ranks_alike(model: Any, tmp_path: Path) -> None:
    import hnswlib

    paths = mf.export.write(model, tmp_path / "m.hnsw")
    beside = np.load(paths[1], allow_pickle=False)
    index = hnswlib.Index(space="ip", dim=beside["queries"].shape[1])
    index.load_index(str(paths[0]))
    assert index.get_current_count() == len(model.item_ids_)
    index.set_ef(len(model.item_ids_))  # visits all: the graph is exact then
    codes, distances = index.knn_query(beside["queries"], N, num_threads=1)
    assert_ranks_like_recommend(model, codes.astype(np.int64), 1 - distances)
    before = paths[0].read_bytes()
    mf.export.write(model, tmp_path / "m.hnsw")
    assert paths[0].read_bytes() == before


def test_onnx_gives_the_same_scores(model: Any, tmp_path: Path) -> None:
    import onnx
    import onnxruntime

    paths = mf.export.write(model, tmp_path / "m.onnx")
    onnx.checker.check_model(str(paths[0]), full_check=True)
    session = onnxruntime.InferenceSession(str(paths[0]), providers=["CPUExecutionProvider"])
    n_users, n_items = len(model.user_ids_), len(model.item_ids_)
    users, items = (codes.ravel() for codes in np.indices((n_users, n_items)))
    (scores,) = session.run(["scores"], {"users": users, "items": items})
    assert scores.dtype == model.item_factors_.dtype
    expected = estimates(model)[users, items]
    assert np.abs(scores - expected).max() <= TOLERANCE[model.dtype] * np.abs(expected).max()
    predicted = model.predict(model.user_ids_[users], model.item_ids_[items])
    assert np.abs(scores - predicted).max() <= TOLERANCE[model.dtype] * np.abs(expected).max()
    (one,) = session.run(None, {"users": np.array([2]), "items": np.array([0])})
    assert one.shape == (1,)
    (none,) = session.run(None, {"users": users[:0], "items": items[:0]})
    assert none.shape == (0,)


def test_a_loaded_model_of_choices_is_exported_too(tmp_path: Path) -> None:
    R = mf.datasets.make_ratings(60, 40, 600, random_state=2)
    mf.ImplicitFactorization(5, loss="bpr", max_iter=2, random_state=0).fit(R).save(tmp_path / "m")
    model = mf.load(tmp_path / "m")
    products, codes = mf.export.to_faiss(model).search(mf.export.query_vectors(model), N)
    assert_ranks_like_recommend(model, codes, products)


def test_what_is_too_large_for_onnx_is_refused(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mf.export, "_MAX_ONNX_BYTES", 1000)
    with pytest.raises(ValueError, match="less than 2 GB; export to NumPy or Parquet"):
        mf.export.to_onnx(model)


def test_formats_and_models_that_are_none_are_refused(model: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'npz', 'parquet', 'faiss', 'hnswlib', 'onnx'"):
        mf.export.write(model, tmp_path / "m.bin")
    with pytest.raises(ValueError, match="format='pickle'"):
        mf.export.write(model, tmp_path / "m.npz", "pickle")
    with pytest.raises(mf._model.NotFittedError):
        mf.export.to_numpy(mf.MatrixFactorization())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", mf.export.FORMATS)
def test_a_write_that_fails_leaves_the_earlier_file(
    format: str, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.export"
    written = mf.export.write(model, path, format)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    assert set(before) == set(written)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        mf.export.write(model, path, format)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("module", "call"),
    [
        ("pyarrow", "to_arrow"),
        ("faiss", "to_faiss"),
        ("hnswlib", "to_hnswlib"),
        ("onnx", "to_onnx"),
    ],
)
def test_a_missing_package_is_named_with_the_remedy(
    module: str, call: str, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"needs {module}.*matfac\[export\]"):
        getattr(mf.export, call)(model)


def test_nothing_heavy_is_imported_at_once() -> None:
    heavy = {"faiss", "hnswlib", "onnx", "pyarrow"}
    script = f"import sys, matfac; print(sorted({heavy} & set(sys.modules)))"
    assert run_python(script).strip() == "[]"


@pytest.mark.parametrize("suffix", ["npz", "parquet", "faiss", "hnsw", "onnx"])
def test_the_command_line_writes_the_same(
    suffix: str, model: Any, tmp_path: Path, call: Any
) -> None:
    model.save(tmp_path / "model.safetensors")
    output = tmp_path / f"a.{suffix}"
    code, out, err = call("export", tmp_path / "model.safetensors", "-o", output, "--json")
    assert code == 0, err
    (tmp_path / "b").mkdir()
    expected = mf.export.write(model, tmp_path / "b" / output.name)
    assert all(str(tmp_path / path.name) in out for path in expected)
    for path in expected:
        if path.suffix != ".npz":  # an archive has the time in it
            assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_the_command_line_does_not_overwrite_its_model(
    model: Any, tmp_path: Path, call: Any
) -> None:
    path = tmp_path / "m.npz"
    model.save(path)
    before = path.read_bytes()
    code, _, err = call("export", path, "-o", path)
    assert code == 1 and "would overwrite the model" in err
    code, _, err = call("export", path, "-o", tmp_path / "m.bin")
    assert code == 1 and "expected one of 'npz'" in err
    # Nor by the file that stands beside the one that is named.
    (tmp_path / "m.faiss.npz").write_bytes(before)
    code, _, err = call("export", tmp_path / "m.faiss.npz", "-o", tmp_path / "m.faiss")
    assert code == 1 and "would overwrite the model" in err
    assert path.read_bytes() == before == (tmp_path / "m.faiss.npz").read_bytes()


def test_the_files_of_an_export_appear_together(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mf.export.write(model, tmp_path / "a.faiss")
    before = (tmp_path / "a.faiss").read_bytes()
    other = mf.MatrixFactorization(3, max_iter=1).fit(mf.datasets.make_ratings(9, 8, 40))

    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mf.export, "_save_companion", full)
    with pytest.raises(OSError, match="No space"):
        mf.export.write(other, tmp_path / "a.faiss")
    assert (tmp_path / "a.faiss").read_bytes() == before
