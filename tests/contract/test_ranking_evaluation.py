"""`metrics.evaluate_ranking`, `auc`, `coverage`, `popularity` and `novelty`."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

import matfac as mf
from matfac import _evaluation, metrics

DATA = Path(os.environ.get("MATFAC_DATA") or Path(__file__).parents[3] / "shared" / "data")

OF_LISTS = {
    "precision": metrics.precision_at,
    "recall": metrics.recall_at,
    "hit_rate": metrics.hit_rate_at,
    "reciprocal_rank": metrics.reciprocal_rank_at,
    "average_precision": metrics.average_precision_at,
    "ndcg": metrics.ndcg_at,
}
OF_ALL = {
    "coverage": metrics.coverage,
    "popularity": metrics.popularity,
    "novelty": metrics.novelty,
}


@pytest.fixture(scope="module", params=["integers", "strings"])
def parts(request):
    R = mf.datasets.make_ratings(300, 120, 9000, random_state=0)
    users, items, values = R.to_arrays()
    if request.param == "strings":
        users, items = ([f"{kind}{i}" for i in ids] for kind, ids in (("u", users), ("i", items)))
    return mf.Ratings.from_arrays(users, items, values).split(0.2, random_state=0)


@pytest.fixture(scope="module")
def model(parts):
    return mf.MatrixFactorization(6, max_iter=4).fit(parts[0])


class Popularity:
    """An estimator of somebody else: the same for everybody."""

    def fit(self, train):
        self.train = train
        return self

    def recommend(self, users, n=10, *, exclude_seen=True):
        order = np.argsort(-np.bincount(self.train.items, minlength=self.train.n_items))
        lists = []
        for user in self.train.user_codes(users):
            row = slice(*self.train.offsets[user : user + 2])
            kept = order[~np.isin(order, self.train.items[row])] if exclude_seen else order
            lists.append(self.train.item_ids[kept[:n]])
        return np.array(lists)


# ---- it measures what `recommend` gives ----------------------------------------------------------


@pytest.mark.parametrize("exclude_seen", [True, False])
@pytest.mark.parametrize("n", [1, 10, 60])
def test_it_measures_what_is_recommended(parts, model, n, exclude_seen):
    train, test = parts
    found = metrics.evaluate_ranking(model, test, n, exclude_seen=exclude_seen)
    assert list(found) == [*OF_LISTS, *OF_ALL]
    assert all(isinstance(value, float) for value in found.values())
    lists = model.recommend(n=n, exclude_seen=exclude_seen).ids
    for name, measure in OF_LISTS.items():
        assert found[name] == pytest.approx(measure(lists, test, n), rel=1e-13)
    served = np.diff(test.offsets) > 0
    for name, measure in OF_ALL.items():
        assert found[name] == pytest.approx(measure(lists[served], train, n), rel=1e-13)


def test_measures_by_name_come_in_the_order_asked_for(parts, model):
    test = parts[1]
    everything = metrics.evaluate_ranking(model, test)
    assert metrics.evaluate_ranking(model, test, measures="ndcg") == {"ndcg": everything["ndcg"]}
    some = metrics.evaluate_ranking(model, test, measures=("novelty", "auc", "recall"))
    assert list(some) == ["novelty", "auc", "recall"]
    assert some["auc"] == metrics.auc(model, test)
    assert some["recall"] == everything["recall"]


def test_auc_against_scikit_learn(parts, model):
    learn = pytest.importorskip("sklearn.metrics")
    train, test = parts
    areas = []
    for user in range(test.n_users):
        right = np.zeros(test.n_items, bool)
        right[test.items[slice(*test.offsets[user : user + 2])]] = True
        if not right.any():
            continue
        scores = model.predict(np.full(test.n_items, test.user_ids[user]), test.item_ids)
        kept = np.ones(test.n_items, bool)
        kept[train.items[slice(*train.offsets[user : user + 2])]] = False
        areas.append(learn.roc_auc_score(right[kept], scores[kept]))
    assert metrics.auc(model, test) == pytest.approx(np.mean(areas), rel=1e-12)


def test_auc_of_the_truth_of_its_opposite_and_of_no_opinion():
    R = mf.Ratings.from_arrays([0, 0, 1, 1, 1], [0, 1, 0, 2, 3], [1, 1, 1, 1, 1])
    model = mf.MatrixFactorization(2, biases=False, max_iter=1).fit(R)
    test = mf.Ratings.from_arrays([0, 1], [2, 1], [1, 1])
    model.item_factors_ = np.array([[0, 0], [0, 1], [1, 0], [0.5, 0]], "float32")
    for users, expected in (
        ([[1, 0], [0, 1]], 1),
        ([[-1, 0], [0, -1]], 0),
        ([[0, 0], [0, 0]], 0.5),
    ):
        model.user_factors_ = np.array(users, "float32")
        # User 1 has seen all but the relevant item: nothing to compare it with.
        assert metrics.auc(model, test) == expected
    with pytest.raises(ValueError, match="no user has both a relevant and another item"):
        metrics.auc(model, test.select(np.array([False, True])))


def test_what_was_seen_is_neither_recommended_nor_relevant(parts, model):
    train, test = parts
    users, items, values = (
        np.concatenate(pair) for pair in zip(train.to_arrays(), test.to_arrays(), strict=True)
    )
    both = mf.Ratings.from_arrays(users, items, values)
    measures = [*OF_LISTS, "auc"]
    expected = metrics.evaluate_ranking(model, test, measures=measures)
    assert metrics.evaluate_ranking(model, both, measures=measures) == pytest.approx(expected)
    with pytest.raises(ValueError, match="no user has a relevant item that was not seen"):
        metrics.evaluate_ranking(model, train)
    on_train = metrics.evaluate_ranking(model, train, exclude_seen=False, measures="hit_rate")
    assert on_train["hit_rate"] > expected["hit_rate"]


def test_other_training_ratings_can_be_named(parts, model):
    train, test = parts
    assert metrics.evaluate_ranking(model, test, train=train) == metrics.evaluate_ranking(
        model, test
    )
    half = train.select(np.arange(train.nnz) % 2 == 0)
    lists = model.recommend(exclude_seen=False, n=train.n_items)
    found = metrics.evaluate_ranking(model, test, 5, train=half)
    rows = []
    for user, ids in enumerate(lists.ids):
        seen = half.items[slice(*half.offsets[user : user + 2])]
        rows.append(ids[~np.isin(train.item_codes(ids), seen)][:5])
    assert found["ndcg"] == pytest.approx(metrics.ndcg_at(rows, test, 5), rel=1e-13)
    assert found["novelty"] == pytest.approx(
        metrics.novelty(np.array(rows)[np.diff(test.offsets) > 0], half), rel=1e-13
    )


def test_a_loaded_model_gives_the_same(parts, model, tmp_path):
    test = parts[1]
    model.save(tmp_path / "with.safetensors")
    measures = [*OF_LISTS, *OF_ALL, "auc"]
    expected = metrics.evaluate_ranking(model, test, measures=measures)
    loaded = mf.load(tmp_path / "with.safetensors")
    assert metrics.evaluate_ranking(loaded, test, measures=measures) == expected

    model.save(tmp_path / "without.safetensors", include_seen=False)
    loaded = mf.load(tmp_path / "without.safetensors")
    with pytest.raises(ValueError, match=r"without the training pattern.*pass train="):
        metrics.evaluate_ranking(loaded, test)
    assert metrics.evaluate_ranking(loaded, test, train=parts[0], measures=measures) == expected
    ranked = metrics.evaluate_ranking(loaded, test, exclude_seen=False, measures="ndcg")
    assert ranked == metrics.evaluate_ranking(model, test, exclude_seen=False, measures="ndcg")
    with pytest.raises(ValueError, match="popularity and novelty"):
        metrics.evaluate_ranking(loaded, test, exclude_seen=False, measures="novelty")


def test_only_high_ratings_may_be_relevant(parts, model):
    test = parts[1]
    high = test.select(test.values >= 4)
    assert metrics.evaluate_ranking(model, test, min_rating=4) == metrics.evaluate_ranking(
        model, high
    )
    assert metrics.auc(model, test, min_rating=4) == metrics.auc(model, high)
    with pytest.raises(ValueError, match="min_rating=99: no rating of test is that high"):
        metrics.evaluate_ranking(model, test, min_rating=99)


def test_other_forms_of_ratings():
    matrix = sp.random(40, 30, 0.3, "csr", np.float32, random_state=0)
    R = mf.Ratings.from_csr(sp.csr_array(matrix))
    model = mf.MatrixFactorization(2, max_iter=2).fit(R.select(np.arange(R.nnz) % 3 > 0))
    test = R.select(np.arange(R.nnz) % 3 == 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mf.CopyWarning)
        found = metrics.evaluate_ranking(model, test.to_scipy(), train=matrix, exclude_seen=False)
    assert found == metrics.evaluate_ranking(model, test, train=R, exclude_seen=False)


# ---- batches, threads ----------------------------------------------------------------------------


def test_the_size_of_the_batches_does_not_matter(parts, model, monkeypatch):
    test = parts[1]
    names = [*OF_LISTS, *OF_ALL, "auc"]
    expected = metrics.evaluate_ranking(model, test, measures=names)
    slices = [slice(i, i + 7) for i in range(0, test.n_users, 7)]
    monkeypatch.setattr(_evaluation._Native, "_parts", lambda self: slices)
    assert metrics.evaluate_ranking(model, test, measures=names) == expected


@pytest.mark.parametrize("n_threads", [1, 2, 3, None])
def test_any_number_of_threads_gives_the_same_bits(parts, model, n_threads):
    names = [*OF_LISTS, *OF_ALL, "auc"]
    expected = metrics.evaluate_ranking(model, parts[1], measures=names, n_threads=1)
    found = metrics.evaluate_ranking(model, parts[1], measures=names, n_threads=n_threads)
    assert found == expected  # exactly


# ---- models of others ----------------------------------------------------------------------------


def test_a_model_of_others_is_measured_by_its_lists(parts, monkeypatch):
    train, test = parts
    model = Popularity().fit(train)
    found = metrics.evaluate_ranking(model, test, 8, train=train)
    served = test.user_ids[np.diff(test.offsets) > 0]
    lists = model.recommend(served, n=8)
    relevant = [
        set(test.item_ids[test.items[slice(*test.offsets[u : u + 2])]].tolist())
        for u in test.user_codes(served)
    ]
    for name, measure in OF_LISTS.items():
        assert found[name] == pytest.approx(measure(lists, relevant, 8), rel=1e-13)
    for name, measure in OF_ALL.items():
        assert found[name] == pytest.approx(measure(lists, train), rel=1e-13)
    monkeypatch.setattr(_evaluation, "_USERS_AT_ONCE", 11)
    assert metrics.evaluate_ranking(model, test, 8, train=train) == found
    # It answers with ids and scores, and with fewer than were asked for: the same.
    monkeypatch.setattr(_evaluation, "_USERS_AT_ONCE", 4096)
    plain = Popularity.recommend
    monkeypatch.setattr(
        Popularity,
        "recommend",
        lambda self, users, n, *, exclude_seen: (plain(self, users, min(n, 8)), None),
    )
    longer = metrics.evaluate_ranking(model, test, 20, train=train)
    assert longer["recall"] == found["recall"]
    assert longer["precision"] == pytest.approx(found["precision"] * 8 / 20)


def test_a_model_of_ours_and_the_same_as_one_of_others(parts, model):
    class Wrapped:
        recommend = staticmethod(model.recommend)

    train, test = parts
    assert metrics.evaluate_ranking(Wrapped(), test, train=train) == pytest.approx(
        metrics.evaluate_ranking(model, test), rel=1e-13
    )
    # What was seen in training is neither recommended nor relevant, where the test part has it too.
    both = mf.Ratings.from_arrays(
        *(np.concatenate(part) for part in zip(train.to_arrays(), test.to_arrays(), strict=True))
    )
    assert metrics.evaluate_ranking(Wrapped(), both, train=train) == pytest.approx(
        metrics.evaluate_ranking(model, both), rel=1e-13
    )


def test_what_cannot_be_asked_of_others(parts):
    train, test = parts
    model = Popularity().fit(train)
    with pytest.raises(TypeError, match="auc needs the scores of all items"):
        metrics.evaluate_ranking(model, test, measures="auc")
    with pytest.raises(ValueError, match="how popular items are is not known; pass train="):
        metrics.evaluate_ranking(model, test, measures="popularity")
    with pytest.raises(TypeError, match="a object cannot recommend"):
        metrics.evaluate_ranking(object(), test)
    model.recommend = lambda users, n, exclude_seen: np.zeros((3, n), int)
    with pytest.raises(ValueError, match=r"recommend: expected the ids of 10 items for each of"):
        metrics.evaluate_ranking(model, test, measures="ndcg")


# ---- ids that do not fit -------------------------------------------------------------------------


def test_unknown_users_and_items_are_left_out_with_a_warning(parts, model):
    test = parts[1]
    users, items, values = test.to_arrays()
    is_number = users.dtype.kind == "i"
    more = mf.Ratings.from_arrays(
        np.append(users, [10**6, users[0]] if is_number else ["nobody", users[0]]),
        np.append(items, [items[0], 10**6] if is_number else [items[0], "nothing"]),
        np.append(values, [1, 1]),
    )
    with pytest.warns(UserWarning, match="2 of the .* ratings of test are of users or items"):
        found = metrics.evaluate_ranking(model, more)
    assert found == metrics.evaluate_ranking(model, test)


def test_ids_of_another_kind_and_of_nobody(parts, model):
    is_number = parts[0].user_ids.dtype.kind == "i"
    other = mf.Ratings.from_arrays(["a"], ["b"]) if is_number else mf.Ratings.from_arrays([1], [2])
    with pytest.raises(TypeError):
        metrics.evaluate_ranking(model, other)
    same_kind = (
        mf.Ratings.from_arrays([10**9], [1]) if is_number else mf.Ratings.from_arrays(["a"], ["b"])
    )
    with pytest.raises(ValueError, match="none of the 1 ratings is of a known user"):
        metrics.evaluate_ranking(model, same_kind)


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "error", "message"),
    [
        ({"n": 0}, ValueError, "n=0 must be at least 1"),
        ({"n": 2.0}, TypeError, "n=2.0: expected an integer"),
        ({"n": True}, TypeError, "n=True: expected an integer"),
        ({"measures": "map"}, ValueError, "unknown measure 'map'.*MAP is average_precision"),
        ({"measures": ["ndcg", "x"]}, ValueError, "unknown measure 'x'"),
        ({"measures": []}, ValueError, "measures: none is named"),
        ({"exclude_seen": "no"}, TypeError, "exclude_seen='no': expected True or False"),
        ({"min_rating": "4"}, TypeError, "min_rating='4': expected a number"),
        ({"n_threads": -1}, ValueError, "n_threads=-1"),
        ({"test": [[1, 2]]}, TypeError, "test: expected Ratings"),
        ({"train": "train.csv"}, TypeError, "train: expected Ratings"),
    ],
)
def test_bad_arguments_of_an_evaluation(parts, model, named, error, message):
    named = {"test": parts[1], **named}
    with pytest.raises(error, match=message):
        metrics.evaluate_ranking(model, **named)


def test_more_items_than_there_are(parts, model):
    train, test = parts
    n = train.n_items + 30
    found = metrics.evaluate_ranking(model, test, n)
    assert found["recall"] == found["hit_rate"] == 1
    everything = metrics.evaluate_ranking(model, test, train.n_items)
    assert found["precision"] == pytest.approx(everything["precision"] * train.n_items / n)
    assert found["ndcg"] == pytest.approx(everything["ndcg"])


def test_a_model_that_is_not_fitted(parts):
    with pytest.raises(mf.NotFittedError):
        metrics.evaluate_ranking(mf.MatrixFactorization(), parts[1])
    with pytest.raises(mf.NotFittedError):
        metrics.auc(mf.MatrixFactorization(), parts[1])


@pytest.mark.parametrize("name", ["user_factors_", "item_factors_", "item_biases_"])
def test_scores_that_are_no_numbers(parts, name):
    model = mf.MatrixFactorization(2, max_iter=1).fit(parts[0])
    broken = getattr(model, name).copy()
    broken[(3,) + (1,) * (broken.ndim - 1)] = np.nan
    setattr(model, name, broken)
    for measures in ("ndcg", "auc"):
        with pytest.raises(ValueError, match=rf"{name}: nan at \(?3.* is not finite"):
            metrics.evaluate_ranking(model, parts[1], measures=measures)


# ---- the lists as a whole ------------------------------------------------------------------------


def test_coverage_popularity_and_novelty_by_hand():
    train = mf.Ratings.from_csr(
        sp.csr_matrix(np.array([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0.0]]))
    )
    lists = [[0, 1], [0, 2], [3, -1]]
    assert metrics.coverage(lists, train) == 1
    assert metrics.coverage(lists, train, 1) == 0.5
    shares = np.array([4, 2, 4, 1, 0]) / 4
    assert metrics.popularity(lists, train) == pytest.approx(shares.mean())
    bits = [0, 1, 0, 2, 2]  # what nobody rated counts as rated once
    assert metrics.novelty(lists, train) == pytest.approx(np.mean(bits))
    assert metrics.novelty(lists, train, 1) == pytest.approx(2 / 3)


@pytest.mark.parametrize("measure", OF_ALL.values(), ids=OF_ALL)
def test_bad_arguments_of_measures_of_all_lists(measure, parts):
    train = mf.Ratings.from_arrays([1, 2], [1, 2])
    assert measure([[1]], train) >= 0
    for lists, n, error, message in (
        ([1, 2], None, ValueError, "expected shape"),
        ([[1, 2]], 3, ValueError, "2 items per user are too few for n=3"),
        ([[1, 2]], 0, ValueError, "n=0: must be at least 1"),
        ([[7, -1]], None, ValueError, "none of the items is one of train"),
        ([["a"]], None, TypeError, "items"),
    ):
        with pytest.raises(error, match=message):
            measure(lists, train, n)
    with pytest.raises(TypeError, match="train: expected Ratings"):
        measure([[1]], [[1]])


# ---- real ratings --------------------------------------------------------------------------------


def test_factors_rank_better_than_chance_on_movielens():
    if not (DATA / "ml-100k").is_dir():
        pytest.skip("ml-100k is not there")
    train, test = (
        mf.Ratings.read(DATA / "ml-100k" / f"u1.{part}", header=False) for part in ("base", "test")
    )
    model = mf.MatrixFactorization(8).fit(train)
    with pytest.warns(UserWarning, match="left out of the evaluation"):
        found = metrics.evaluate_ranking(model, test, measures=("ndcg", "auc", "coverage"))
    assert 0.6 < found["auc"] < 1 and 0.03 < found["ndcg"] < 1 and 0 < found["coverage"] < 1
