"""`save` and `load`: a model comes back as it was, and what is no model is refused.

The container itself is tested in tests/io.
"""

from __future__ import annotations

import json
import pathlib
import re

import numpy as np
import pytest

import matfac as mf
from conftest import bits, bits_of, run_python
from matfac import _core


@pytest.fixture(scope="module")
def R():
    return mf.datasets.make_ratings(120, 60, 2000, random_state=5)


def fitted(R, **params):
    return mf.MatrixFactorization(**{"n_factors": 5, "max_iter": 3} | params).fit(R)


def renamed(R, user=None, item=None):
    users, items, values = R.to_arrays()
    users = users if user is None else [user(u) for u in users.tolist()]
    items = items if item is None else [item(i) for i in items.tolist()]
    return mf.Ratings.from_arrays(users, items, values)


def answers(model, R):
    rankings = [
        *model.recommend(n=7),
        *model.recommend_new(R, 7),
        *model.similar_items(model.item_ids_),
    ]
    return bits(model.predict(R), *rankings, model.fold_in(R), model.score(R))


def saved(model, tmp_path, **how):
    path = tmp_path / "model.safetensors"
    model.save(path, **how)
    return path


def untimed(history):
    """A file keeps the history without its clock."""
    return {key: values for key, values in history.items() if key != "seconds"}


# ---- there and back ------------------------------------------------------------------------------


@pytest.mark.parametrize("biases", [True, False])
def test_a_model_comes_back_bit_for_bit(biases, R, solver, dtype, tmp_path):
    model = fitted(R, solver=solver, dtype=dtype, biases=biases)
    loaded = mf.load(saved(model, tmp_path))
    assert bits_of(loaded) == bits_of(model)
    assert answers(loaded, R) == answers(model, R)
    assert (loaded.user_biases_ is None) is (not biases)
    assert loaded.dtype == dtype


PARAMETERS = [
    {},
    {"solver": "sgd", "learning_rate": 0.15, "random_state": 12},
    {"regularization": (0.1, 2), "bias_regularization": 3.0, "regularization_exponent": 0.75},
    {"regularization": np.array([0.1, 0.3]), "tol": np.float32(0.25), "max_iter": np.int64(2)},
    {"biases": False, "init_std": 0.125, "random_state": None, "patience": 9},
]


@pytest.mark.parametrize("params", PARAMETERS, ids=str)
def test_parameters_and_results_are_kept(params, R, tmp_path):
    model = fitted(R, **params)
    loaded = mf.load(saved(model, tmp_path))
    for name, value in model.get_params().items():
        found = getattr(loaded, name)
        assert np.array_equal(found, value) and (found is None) is (value is None), name
    for name in ("regularization_", "bias_regularization_", "n_iter_", "best_iteration_"):
        assert getattr(loaded, name) == getattr(model, name), name
        assert type(getattr(loaded, name)) is type(getattr(model, name))
    assert loaded.stop_reason_ == model.stop_reason_ == "max_iter"
    assert loaded.history_ == untimed(model.history_)
    assert bits_of(loaded.fit(R)) == bits_of(model) or params.get("random_state", 0) is None


def test_the_same_fit_makes_the_same_file(R, solver, tmp_path):
    """Byte for byte, at any number of threads."""
    files = []
    for n_threads in (1, 2, 3):
        path = tmp_path / f"{n_threads}.safetensors"
        fitted(R, solver=solver, n_threads=n_threads).save(path)
        files.append(path.read_bytes())
    assert files[0] == files[1] == files[2]


def test_what_says_how_to_run_is_not_kept(R, tmp_path):
    init = (np.ones((120, 5)), np.ones((60, 5)))
    model = fitted(R, n_threads=1, verbose=False, init=init, random_state=np.random.default_rng(1))
    loaded = mf.load(saved(model, tmp_path))
    default = mf.MatrixFactorization()
    for name in ("n_threads", "verbose", "init", "random_state"):
        assert getattr(loaded, name) == getattr(default, name)


def test_the_parameters_kept_are_those_of_the_fit(R, tmp_path):
    model = fitted(R, regularization_exponent=1.0)
    expected = bits(model.fold_in(R))
    model.set_params(solver="sgd", regularization_exponent=0.0, n_factors=99, dtype="float64")
    loaded = mf.load(saved(model, tmp_path))
    assert (loaded.solver, loaded.regularization_exponent, loaded.n_factors) == ("als", 1.0, 5)
    assert loaded.dtype == "float32"
    assert bits(loaded.fold_in(R)) == expected


def odd(i):
    return ["", "é", "日本", "a b", "'\"\\", "\n", "𝄞"][i] if i < 7 else f"{i:03d}"


@pytest.mark.parametrize(
    ("user", "item"), [(odd, None), (None, odd), (odd, odd), (lambda u: u - 2**62, None)]
)
def test_any_ids_come_back(user, item, R, tmp_path):
    named = renamed(R, user, item)
    model = fitted(named)
    loaded = mf.load(saved(model, tmp_path))
    for ids in ("user_ids_", "item_ids_"):
        assert getattr(loaded, ids).tolist() == getattr(model, ids).tolist()
        assert getattr(loaded, ids).dtype == getattr(model, ids).dtype
    assert answers(loaded, named) == answers(model, named)
    one = model.user_ids_[0].item()
    assert loaded.recommend(one, 3).ids.tolist() == model.recommend(one, 3).ids.tolist()


def test_a_model_of_one_rating(tmp_path):
    R = mf.Ratings.from_arrays([""], [""], [4.0])
    loaded = mf.load(saved(fitted(R), tmp_path))
    assert loaded.predict("", "") == pytest.approx(4.0) and loaded.user_ids_.tolist() == [""]


def test_without_the_training_pattern(R, tmp_path):
    model = fitted(R)
    with_seen = saved(model, tmp_path).stat().st_size
    path = saved(model, tmp_path, include_seen=False)
    assert path.stat().st_size < with_seen - 4 * R.nnz
    loaded = mf.load(path)
    with pytest.raises(ValueError, match="does not know what was seen; pass exclude_seen=False"):
        loaded.recommend(0)
    assert bits(*loaded.recommend(n=9, exclude_seen=False)) == bits(
        *model.recommend(n=9, exclude_seen=False)
    )
    assert bits(*loaded.recommend_new(R)) == bits(*model.recommend_new(R))
    loaded.save(path)  # once more, still without
    assert mf.load(path)._seen is None


def test_loaded_arrays_are_read_only_views_of_the_file(R, tmp_path):
    path = saved(fitted(renamed(R, odd)), tmp_path)
    loaded = mf.load(path)
    arrays = [*loaded._parameters()[:4], loaded.user_ids_, loaded.item_ids_]
    for array in arrays:
        assert not array.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            array[0] = array[0]
    for array in (loaded.user_factors_, loaded.item_factors_, loaded.item_ids_):
        assert not array.flags.owndata
    maps = pathlib.Path("/proc/self/maps")
    if maps.exists():
        assert str(path) in maps.read_text()
    factors, expected = loaded.user_factors_, bits(loaded.user_factors_)
    del loaded, arrays
    assert bits(factors) == expected  # the mapping lives as long as the array


def test_another_process_reads_it(R, tmp_path):
    model = fitted(renamed(R, odd, odd), solver="sgd")
    path = saved(model, tmp_path)
    found = run_python(
        f"import matfac as mf; m = mf.load({str(path)!r}); print(m.predict('é', '日本').hex(), "
        "m.recommend('', 5).ids.tolist(), m)",
        PYTHONIOENCODING="utf-8",
    )
    assert found == (
        f"{model.predict('é', '日本').hex()} {model.recommend('', 5).ids.tolist()} {model}\n"
    )


def test_the_public_library_reads_it(R, tmp_path):
    from safetensors import safe_open

    model = fitted(R)
    with safe_open(saved(model, tmp_path), framework="numpy") as file:
        metadata = file.metadata()
        assert bits(file.get_tensor("user_factors")) == bits(model.user_factors_)
    assert float.fromhex(metadata["global_mean"]) == model.global_mean_
    assert (metadata["solver"], metadata["loss"]) == ("als", "squared")
    assert json.loads(metadata["regularization"]) is None
    assert tuple(json.loads(metadata["regularization_"])) == model.regularization_
    assert json.loads(metadata["max_iter"]) == 3


@pytest.mark.parametrize("kind", [str, pathlib.Path, lambda path: str(path).encode()])
def test_paths_of_any_kind(kind, R, tmp_path):
    model = fitted(R)
    path = kind(tmp_path / "mödel.safetensors")
    assert model.save(path) is None
    assert bits_of(mf.load(path)) == bits_of(model)


def test_a_model_can_be_saved_over_the_file_it_was_loaded_from(R, tmp_path):
    first, second = fitted(R), fitted(R, n_factors=11, random_state=3)
    path = saved(first, tmp_path)
    loaded = mf.load(path)
    second.save(path)
    assert bits_of(loaded) == bits_of(first)  # its mapping is of the earlier file
    assert bits_of(mf.load(path)) == bits_of(second)
    loaded.save(path)
    assert bits_of(mf.load(path)) == bits_of(first)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]  # nothing is left lying about


def test_the_same_model_gives_the_same_bytes(R, tmp_path):
    path = saved(fitted(R), tmp_path)
    content = path.read_bytes()
    mf.load(path).save(path)
    assert path.read_bytes() == content


def test_models_that_stopped_early(R, tmp_path):
    train, test = R.split(0.2, random_state=0)
    early = mf.MatrixFactorization(
        16, solver="sgd", regularization=0.0, max_iter=50, early_stopping=True
    ).fit(train, eval_set=test)
    cancelled = mf.MatrixFactorization(5)
    with pytest.raises(KeyboardInterrupt):
        cancelled.fit(train, callbacks=interrupt)
    for model, reason in ((early, "early_stopping"), (cancelled, "cancelled")):
        loaded = mf.load(saved(model, tmp_path))
        assert loaded.stop_reason_ == reason
        assert (loaded.n_iter_, loaded.best_iteration_) == (model.n_iter_, model.best_iteration_)
        assert loaded.history_ == untimed(model.history_)
        assert answers(loaded, test) == answers(model, test)


def interrupt(now):
    if now["iteration"] == 2:
        raise KeyboardInterrupt


# ---- what is refused -----------------------------------------------------------------------------


def test_a_failed_save_leaves_the_earlier_file(R, tmp_path):
    path = saved(fitted(R), tmp_path)
    content = path.read_bytes()
    broken = fitted(R)
    broken.item_ids_ = broken.item_ids_[::-1]
    with pytest.raises(ValueError, match="ascending"):
        broken.save(path)
    assert path.read_bytes() == content and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("place", ["", "missing/model.safetensors"])
def test_where_nothing_can_be_written(place, R, tmp_path):
    with pytest.raises(OSError, match=re.escape(str(tmp_path))):
        fitted(R).save(tmp_path / place)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "0 bytes"),
        (b"user,item,rating\n1,2,3.5\n4,5,6.0\n", "not a safetensors file"),
        (b"\x80\x04\x95" + b"x" * 100, "not a safetensors file"),
    ],
)
def test_other_files_are_no_models(content, match, tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(mf.ModelFileError, match=match) as raised:
        mf.load(path)
    assert str(path) in str(raised.value) and isinstance(raised.value, ValueError)


def test_a_safetensors_file_of_something_else_is_no_model(tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "x.safetensors"
    for metadata in (None, {"format": "pt"}):
        save_file({"user_factors": np.ones((2, 3), np.float32)}, path, metadata=metadata)
        with pytest.raises(mf.ModelFileError, match="matfac"):
            mf.load(path)


def test_truncated_and_altered_files_are_refused(R, tmp_path):
    path = saved(fitted(R), tmp_path)
    content = path.read_bytes()
    for length in (3, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(mf.ModelFileError):
            mf.load(path, verify_checksum=False)
    altered = bytearray(content)
    altered[-9] ^= 1
    path.write_bytes(altered)
    with pytest.raises(mf.ModelFileError, match="altered"):
        mf.load(path)


def test_missing_files_are_missing(tmp_path):
    with pytest.raises(FileNotFoundError) as raised:
        mf.load(tmp_path / "x")
    assert raised.value.filename == str(tmp_path / "x") or raised.value.filename == tmp_path / "x"
    with pytest.raises(IsADirectoryError):
        mf.load(tmp_path)
    with pytest.raises(TypeError, match="PathLike"):
        mf.load(3)


def written_elsewhere(R, path, metadata):
    """A model file as a program of somebody else's writes it, by the public names."""
    model = fitted(R)
    _core.save_model(
        str(path), *model._parameters(), model.user_ids_, model.item_ids_, None, metadata
    )
    return model


def test_a_file_without_our_metadata_is_a_model(R, tmp_path):
    path = tmp_path / "x.safetensors"
    model = written_elsewhere(R, path, {})
    loaded = mf.load(path)
    assert bits(loaded.predict(R)) == bits(model.predict(R))
    assert loaded.n_factors == 5 and not hasattr(loaded, "history_")
    with pytest.raises(ValueError, match="does not say with which regularization"):
        loaded.fold_in(R)
    loaded.regularization_, loaded.bias_regularization_ = (
        model.regularization_,
        model.bias_regularization_,
    )
    assert bits(loaded.fold_in(R)) == bits(model.fold_in(R))
    loaded.save(path)
    assert mf.load(path).regularization_ == model.regularization_


def test_settings_of_another_program_are_understood(R, tmp_path):
    path = tmp_path / "x.safetensors"
    metadata = {"solver": "sgd", "regularization": "[0.5, 2]", "bias_regularization": "3"}
    written_elsewhere(R, path, metadata | {"note": "not {JSON", "n_threads": "?"})
    loaded = mf.load(path)
    assert loaded.solver == "sgd" and loaded.n_threads == 0
    assert loaded.regularization_ == (0.5, 2.0) and loaded.bias_regularization_ == (3.0, 3.0)
    assert np.isfinite(loaded.fold_in(R)).all()


def test_settings_that_are_none_are_named(R, tmp_path):
    path = tmp_path / "x.safetensors"
    written_elsewhere(R, path, {"max_iter": "twenty"})
    with pytest.raises(mf.ModelFileError, match=r'metadata entry "max_iter" is "twenty"') as raised:
        mf.load(path)
    assert str(path) in str(raised.value)
