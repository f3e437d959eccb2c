"""Weights of ratings: how they come in, what becomes of them, and that they count."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import matfac as mf

DENSE = np.array([[0, 2, 0, 4], [0, 0, 0, 0], [1.5, 0, 0, 3]])
WEIGHTS = [1.0, 0.5, 0.0, 4.0]  # in CSR order


def weighted(dtype="float32", **more):
    users, items = ["b", "a", "b", "a"], [4, 3, 1, 1]
    return mf.Ratings.from_arrays(
        users, items, np.array([4, 3, 1, 2], dtype), weights=[4, 3, 1, 2], **more
    )


def as_dict(R):
    users, items, values = R.to_arrays()
    rows = zip(users.tolist(), items.tolist(), values.tolist(), R.weights.tolist(), strict=True)
    return {(user, item): (value, weight) for user, item, value, weight in rows}


@pytest.fixture
def no_copies():
    with warnings.catch_warnings():
        warnings.simplefilter("error", mf.CopyWarning)
        yield


# ---- in ------------------------------------------------------------------------------------------


def test_triplets_keep_their_weights(dtype):
    R = weighted(dtype)
    assert as_dict(R) == {("a", 1): (2, 2), ("a", 3): (3, 3), ("b", 1): (1, 1), ("b", 4): (4, 4)}
    assert R.weights.dtype == R.dtype == dtype and R.weights.shape == (R.nnz,)
    with pytest.raises(ValueError, match="read-only"):
        R.weights[0] = 1
    assert "weighted" in repr(R)
    assert mf.Ratings.from_arrays([1], [1]).weights is None


@pytest.mark.usefixtures("no_copies")
def test_weights_of_the_right_dtype_are_read_where_they_lie(dtype):
    X, weights = sp.csr_array(DENSE.astype(dtype)), np.array(WEIGHTS, dtype)
    R = mf.Ratings.from_csr(X, weights=weights)
    assert R.weights.ctypes.data == weights.ctypes.data and R.weights.tolist() == WEIGHTS
    R = mf.Ratings.from_csr_arrays(R.offsets, R.items, R.values, 4, weights=weights)
    assert R.weights.ctypes.data == weights.ctypes.data
    assert weights.flags.writeable


def test_weights_of_another_dtype_are_copied_and_it_is_said(dtype):
    X = sp.csr_array(DENSE.astype(dtype))
    other = "float64" if dtype == "float32" else "float32"
    with pytest.warns(mf.CopyWarning, match="the weights"):
        R = mf.Ratings.from_csr(X, weights=np.array(WEIGHTS, other))
    assert R.weights.dtype == dtype and R.weights.tolist() == WEIGHTS


@pytest.mark.filterwarnings("ignore::matfac.CopyWarning")
@pytest.mark.parametrize("of_weights", ["csr", "csc", "coo", "lil"])
@pytest.mark.parametrize("of_ratings", ["csr", "csc", "coo", "lil", "bsr", "dia"])
def test_a_matrix_of_weights_may_lie_otherwise(of_ratings, of_weights):
    X = sp.coo_array(DENSE)
    W = sp.coo_array((np.array(WEIGHTS), np.nonzero(DENSE)), DENSE.shape)
    if of_weights == "lil":  # which keeps no zeros
        W.data[2] = 0.25
    R = mf.Ratings.from_csr(X.asformat(of_ratings), weights=W.asformat(of_weights))
    expected = W.tocsr()
    expected.sort_indices()
    assert R.weights.tolist() == expected.data.tolist()
    assert R.values.tolist() == [2, 4, 1.5, 3]


def test_ids_out_of_order_move_the_weights_too():
    with pytest.warns(mf.CopyWarning):
        R = mf.Ratings.from_csr(sp.csr_array(DENSE), weights=WEIGHTS, user_ids=["c", "b", "a"])
    assert R.weights.tolist() == [0, 4, 1, 0.5] and R.values.tolist() == [1.5, 3, 2, 4]


def test_weights_of_other_places_are_refused():
    X = sp.csr_array(DENSE)
    with pytest.raises(ValueError, match="not at the places of the 4 ratings"):
        mf.Ratings.from_csr(X, weights=sp.csr_array(DENSE + np.eye(3, 4)))
    with pytest.raises(ValueError, match=r"weights: a matrix of shape \(3, 5\)"):
        mf.Ratings.from_csr(X, weights=sp.csr_array((3, 5)))
    with pytest.raises(ValueError, match="pads with zeros"):
        mf.Ratings.from_csr(X.asformat("dia"), weights=WEIGHTS)


@pytest.mark.parametrize("make", ["pandas", "polars", "arrow"])
def test_a_column_of_a_frame(make):
    columns = {
        "user": [1, 1, 2],
        "item": [5, 6, 5],
        "rating": [3.0, 4.0, 5.0],
        "q": [1.0, 0.0, 2.5],
    }
    frame = pd.DataFrame(columns)
    if make == "polars":
        frame = pytest.importorskip("polars").DataFrame(columns)
    elif make == "arrow":
        frame = pytest.importorskip("pyarrow").table(columns)
    R = mf.Ratings.from_frame(frame, weight="q")
    assert R.weights.tolist() == [1, 0, 2.5] and R.values.tolist() == [3, 4, 5]
    assert mf.Ratings.from_frame(frame, weight=3).weights.tolist() == [1, 0, 2.5]
    assert mf.Ratings.from_frame(frame).weights is None


def test_a_column_called_weight_holds_the_ratings_unless_it_is_stated():
    frame = pd.DataFrame({"user": [1, 2], "artist": [3, 4], "weight": [5.0, 6.0]})
    R = mf.Ratings.from_frame(frame)
    assert R.values.tolist() == [5, 6] and R.weights is None
    R = mf.Ratings.from_frame(frame, rating=False, weight="weight")
    assert R.values.tolist() == [1, 1] and R.weights.tolist() == [5, 6]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_column_of_a_file(ending, tmp_path):
    path = tmp_path / f"ratings.{ending}"
    frame = pd.DataFrame({"u": ["x", "y"], "i": [1, 2], "r": [3.5, 4.5], "w": [0.5, 2.0]})
    if ending == "csv":
        frame.to_csv(path, index=False)
    else:
        pytest.importorskip("pyarrow")
        frame.to_parquet(path)
    R = mf.Ratings.read(path, user="u", item="i", rating="r", weight="w")
    assert R.weights.tolist() == [0.5, 2] and R.weights.dtype == R.dtype
    assert R.source.columns["weight"] == "w"


def test_unnamed_columns_of_a_file(tmp_path):
    path = tmp_path / "ratings.txt"
    path.write_text("1\t2\t3.5\t0.5\n1\t3\t4\t2\n")
    R = mf.Ratings.read(path, weight=3)
    assert R.weights.tolist() == [0.5, 2] and R.timestamps is None
    path.write_text("1\t2\t3.5\t100\t0.5\n1\t3\t4\t200\t2\n")
    R = mf.Ratings.read(path, weight=4)
    assert R.weights.tolist() == [0.5, 2] and R.timestamps.tolist() == [100, 200]


@pytest.mark.parametrize(
    ("field", "match"),
    [
        ("-1", r"line 2: the weight '-1' is negative"),
        ("nan", r"line 2: the weight 'nan' is not finite"),
        ("", r"line 2: the weight is missing"),
        ("much", r"line 2: the weight 'much' is not a number"),
    ],
)
def test_a_bad_weight_in_a_file_is_named(field, match, tmp_path):
    path = tmp_path / "ratings.csv"
    path.write_text(f"1,2,3,0.5\n1,3,4,{field}\n")
    with pytest.raises(ValueError, match=match):
        mf.Ratings.read(path, weight=3)


@pytest.mark.parametrize(
    ("weights", "error", "match"),
    [
        ([1, -2, 1], ValueError, r"weights: -2.0 at position 1 \(user 'b', item 2\) is negative"),
        ([1, 2, np.nan], ValueError, r"weights: nan at position 2 .* is not finite"),
        ([np.inf, 2, 1], ValueError, r"weights: inf at position 0 .* is not finite"),
        ([1e300, 2, 1], ValueError, "too large for float32"),
        ([1, 2], ValueError, "weights: 2 were given for 3"),
        ([1, 2, None], ValueError, "weights: None at position 2 .* is missing"),
        (["1", "2", "3"], TypeError, "weights: '1' at position 0"),
        ([True, False, True], TypeError, "which is no weight|not a number"),
        (5, TypeError, "weights: expected a one-dimensional array"),
    ],
)
def test_bad_weights_are_refused_by_name_and_position(weights, error, match):
    with pytest.raises(error, match=match):
        mf.Ratings.from_arrays(["a", "b", "c"], [1, 2, 3], [1, 2, 3], weights=weights)


@pytest.mark.filterwarnings("ignore::matfac.CopyWarning")
@pytest.mark.parametrize("bad", [-1.0, np.nan])
def test_bad_weights_of_a_matrix_are_refused(bad):
    weights = np.array([1, 1, bad, 1])
    with pytest.raises(ValueError, match=r"weights: .* at position 2 \(row 2, column 0\)"):
        mf.Ratings.from_csr(sp.csr_array(DENSE), weights=weights)
    with pytest.raises(ValueError, match=r"weights: .* at position"):
        mf.Ratings.from_csr(
            sp.csr_array(DENSE), weights=sp.coo_array((weights, np.nonzero(DENSE)), DENSE.shape)
        )


# ---- duplicates ----------------------------------------------------------------------------------


def twice(weights, duplicates, dtype="float64", **more):
    return mf.Ratings.from_arrays(
        [7, 8, 7, 7],
        [1, 1, 1, 2],
        np.array([1, 3, 4, 5], dtype),
        weights=weights,
        duplicates=duplicates,
        **more,
    )


def test_first_and_last_keep_that_ratings_weight(dtype):
    weights = [2, 5, 3, 1]
    assert as_dict(twice(weights, "first", dtype))[7, 1] == (1, 2)
    assert as_dict(twice(weights, "last", dtype))[7, 1] == (4, 3)
    with pytest.warns(mf.DuplicateRatingsWarning):
        assert as_dict(twice(weights, None, dtype))[7, 1] == (4, 3)


def test_a_mean_is_weighted_and_has_the_sum_of_the_weights(dtype):
    R = twice([1, 5, 3, 0.1], "mean", dtype)
    assert as_dict(R)[7, 1] == (pytest.approx((1 * 1 + 3 * 4) / 4), 4)
    assert as_dict(R)[8, 1] == (3, 5)  # to the bit, as nothing is merged
    assert as_dict(twice([0, 5, 0, 1], "mean", dtype))[7, 1] == (2.5, 0)


def test_the_merged_mean_is_the_same_to_the_squared_loss():
    rng = np.random.default_rng(0)
    users, items = rng.integers(6, size=60), rng.integers(5, size=60)
    values, weights = rng.normal(size=60), rng.random(60)
    R = mf.Ratings.from_arrays(users, items, values, weights=weights, duplicates="mean")
    estimates = rng.normal(size=(2, 6, 5))

    def losses(u, i, r, q):
        return [0.5 * np.sum(q * (r - x[u, i]) ** 2) for x in estimates]

    all_of_them = losses(users, items, values, weights)
    u, i, r = R.to_arrays()
    merged = losses(np.searchsorted(R.user_ids, u), np.searchsorted(R.item_ids, i), r, R.weights)
    assert np.diff(merged) == pytest.approx(np.diff(all_of_them))


def test_a_sum_needs_equal_weights(dtype):
    assert as_dict(twice([3, 5, 3, 1], "sum", dtype))[7, 1] == (5, 3)
    with pytest.raises(ValueError, match="user 7 rated item 1 with the weights 2 and 3"):
        twice([2, 5, 3, 1], "sum", dtype)


def test_times_and_weights_of_duplicates():
    R = twice([1, 5, 3, 1], "mean", timestamps=[9, 1, 2, 3])
    assert R.timestamps.tolist() == [9, 3, 1] and R.weights.tolist() == [4, 1, 5]


# ---- parts ---------------------------------------------------------------------------------------


def test_parts_carry_their_weights(dtype):
    rng = np.random.default_rng(1)
    whole = mf.datasets.make_ratings(40, 30, 400, random_state=0).astype(dtype)
    R = mf.Ratings.from_csr_arrays(
        whole.offsets, whole.items, whole.values, 30, weights=rng.random(400).astype(dtype)
    )
    expected = as_dict(R)
    train, test = R.split(0.3, random_state=0)
    assert as_dict(train) | as_dict(test) == expected and train.nnz + test.nnz == 400
    assert as_dict(R.select(R.values > 3)) == {p: v for p, v in expected.items() if v[0] > 3}
    known, n_unknown = R.aligned_to(user_ids=np.arange(5, 60), item_ids=np.arange(20))
    assert n_unknown > 0
    assert as_dict(known) == {(u, i): v for (u, i), v in expected.items() if u >= 5 and i < 20}
    again = pickle.loads(pickle.dumps(R))
    assert as_dict(again) == expected and again.weights.dtype == dtype
    other = R.astype("float64" if dtype == "float32" else "float32")
    assert other.weights.dtype == other.dtype
    np.testing.assert_allclose(other.weights, R.weights, rtol=1e-6)
    np.testing.assert_array_equal(other.astype(dtype).weights.astype("float32"), other.weights)
    assert R.mean == pytest.approx(np.average(R.values, weights=R.weights), rel=1e-6)


# ---- that they count -----------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["als", "batch", "ccd"])
def test_a_weight_of_zero_is_as_no_rating(solver):
    R = mf.datasets.make_ratings(40, 30, 500, random_state=0).astype("float64")
    weights = (np.random.default_rng(0).random(500) < 0.8).astype("float64")
    padded = mf.Ratings.from_csr_arrays(R.offsets, R.items, R.values, 30, weights=weights)
    # Ratings are counted whatever their weight, so that only a plain penalty is the same.
    params = {"regularization": 2.0, "bias_regularization": 1.0, "regularization_exponent": 0.0}
    params |= {"solver": solver, "max_iter": 300, "tol": 1e-13, "dtype": "float64", "init_std": 0.1}
    fits = [mf.MatrixFactorization(2, **params).fit(r) for r in (padded, R.select(weights > 0))]
    assert fits[0].global_mean_ == pytest.approx(fits[1].global_mean_)
    assert fits[0].history_["objective"][-1] == pytest.approx(
        fits[1].history_["objective"][-1], rel=1e-4
    )


def test_equal_weights_scale_the_loss_against_the_penalty():
    R = mf.datasets.make_ratings(40, 30, 500, random_state=0).astype("float64")
    three = mf.Ratings.from_csr_arrays(R.offsets, R.items, R.values, 30, weights=np.full(500, 3.0))
    params = {"dtype": "float64", "init_std": 0.3}
    plain = mf.MatrixFactorization(4, regularization=1.0, bias_regularization=0.5, **params).fit(
        R, three
    )
    tripled = mf.MatrixFactorization(4, regularization=3.0, bias_regularization=1.5, **params).fit(
        three, R
    )
    np.testing.assert_allclose(tripled.item_factors_, plain.item_factors_, rtol=1e-7, atol=1e-9)
    assert tripled.history_["train_rmse"] == pytest.approx(plain.history_["train_rmse"])
    assert tripled.history_["eval_rmse"] == pytest.approx(plain.history_["eval_rmse"])


def test_the_score_is_weighted():
    rng = np.random.default_rng(2)
    R = mf.datasets.make_ratings(40, 30, 500, random_state=0)
    model = mf.MatrixFactorization(4, max_iter=3).fit(R)
    weights = rng.random(500).astype("float32")
    test = mf.Ratings.from_csr_arrays(R.offsets, R.items, R.values, 30, weights=weights)
    errors = model.predict(R).astype(float) - R.values
    assert model.score(test) == pytest.approx(np.sqrt(np.average(errors**2, weights=weights)))
    assert model.score(test) != model.score(R)
    nothing = mf.Ratings.from_csr_arrays(R.offsets, R.items, R.values, 30, weights=0 * weights)
    with pytest.raises(ValueError, match="all weights of the ratings are 0"):
        model.score(nothing)
    with pytest.raises(ValueError, match="all weights of the ratings are 0"):
        mf.MatrixFactorization(4).fit(nothing)
