"""What the commands do. Results go to standard output, all else to standard error."""

from __future__ import annotations

import argparse
import csv
import json
import platform
import sys
import time
from typing import Any

import numpy as np

from matfac import (
    ImplicitFactorization,
    MatrixFactorization,
    datasets,
    export,
    load,
    runtime_info,
)
from matfac._cli._evaluating import measures_of
from matfac._cli._inputs import (
    checked_output,
    free_name,
    ids_in_kind_of,
    in_kind_of,
    read_pairs,
    read_ratings,
    refuse_foreign,
    say,
    warn,
)
from matfac._cli._options import model_from
from matfac._cli._titles import read_titles
from matfac._estimator_base import IMPLICIT_LOSSES
from matfac._ids import IdArray
from matfac._persistence import describe
from matfac._reading import existing_file
from matfac.export import FORMATS

#: Seed of what is generated or drawn where nobody chose one.
_SEED = 0


def train(options: argparse.Namespace) -> int:
    """Fit a model to a file and write it."""
    model = model_from(options)
    model._checked_parameters()  # refuses bad parameters before anything is read
    output = checked_output(options.output, (options.ratings, options.test))
    refuse_foreign(output)
    if options.rating is False and isinstance(model, MatrixFactorization):
        raise ValueError(
            "--no-rating makes every rating 1, and from equal ratings there is nothing to learn: "
            f"add a loss of choices, --loss {', '.join(IMPLICIT_LOSSES[:-1])} or "
            f"{IMPLICIT_LOSSES[-1]}"
        )
    if options.test is not None:
        existing_file(options.test)
    if options.test_fraction is not None and not 0 < options.test_fraction < 1:
        raise ValueError(f"--test-fraction {options.test_fraction:g} must be between 0 and 1")
    if model.early_stopping and options.test is None and options.test_fraction is None:
        raise ValueError(
            "--early-stopping needs held-out ratings to watch: add --test FILE or --test-fraction "
            "0.1"
        )
    ratings = read_ratings(options.ratings, options)
    held_out = None
    if options.test is not None:
        test = read_ratings(options.test, options)
        held_out = in_kind_of(test, ratings.user_ids, ratings.item_ids)
    elif options.test_fraction is not None:
        seed = model.random_state
        ratings, held_out = ratings.split(options.test_fraction, random_state=seed)
    interrupted = False
    try:
        model.fit(ratings, held_out)
    except KeyboardInterrupt:
        if not hasattr(model, "item_factors_"):
            raise
        interrupted = True
        output = free_name(output)  # a finished model is worth more
    model.save(output)
    if interrupted:
        say(f"interrupted after {model.n_iter_} iterations; the model so far is kept in {output}")
    kept = model.best_iteration_ - 1
    errors = [key for key in model.history_ if key.startswith("train_")]
    result = {
        "model": str(output),
        "n_users": ratings.n_users,
        "n_items": ratings.n_items,
        "n_ratings": ratings.nnz,
        "n_iter": model.n_iter_,
        "stop_reason": model.stop_reason_,
        **{key: model.history_[key][kept] for key in errors},
        "seconds": model.history_["seconds"][-1],
    }
    if held_out is not None:
        result |= {"n_test": held_out.nnz, f"eval_{model._score_name}": model.score(held_out)}
    _show(options, result)
    return 130 if interrupted else 0


def evaluate(options: argparse.Namespace) -> int:
    """Measure a model on a file of ratings."""
    if options.n < 1:
        raise ValueError(f"n={options.n} must be at least 1")
    model = load(options.model)
    if options.rating is False and isinstance(model, MatrixFactorization):
        raise ValueError("--no-rating: this model is one of ratings, and there is none to compare")
    read = read_ratings(options.ratings, options)
    ratings = in_kind_of(read, model.user_ids_, model.item_ids_)
    users, items = model._codes_of(ratings)
    result = measures_of(model, ratings, options.n) | {
        "n_ratings": ratings.nnz,
        "n_ratings_of_unknown_users": int(np.sum(users < 0)),
        "n_ratings_of_unknown_items": int(np.sum(items < 0)),
    }
    _show(options, result)
    return 0


def predict(options: argparse.Namespace) -> int:
    """Estimate pairs from a file or from the command line, in the order given."""
    by_name = options.users is not None or options.items is not None
    if (options.pairs is not None) == by_name:
        raise ValueError("predict needs either a file of pairs, or --users and --items")
    if by_name and len(options.users or ()) != len(options.items or ()):
        raise ValueError(
            f"--users names {len(options.users or ())} and --items {len(options.items or ())}: "
            "one of each is needed per pair"
        )
    model = load(options.model)
    if by_name:
        users, items = np.array(options.users), np.array(options.items)
    else:
        users, items = read_pairs(options)
    users = ids_in_kind_of(users, model.user_ids_, "user")
    items = ids_in_kind_of(items, model.item_ids_, "item")
    known = np.isin(users, model.user_ids_) & np.isin(items, model.item_ids_)
    if not known.all():
        warn(
            f"{np.sum(~known):,} of {len(known):,} pairs have a user or an item that the model "
            "does not know; their estimates are of what is known, a bias or the mean"
        )
    estimates = model.predict(users, items).tolist()
    rows = list(zip(users.tolist(), items.tolist(), estimates, strict=True))
    if options.json:
        keys = ("user", "item", "prediction")
        print(json.dumps([dict(zip(keys, row, strict=True)) for row in rows]))
    else:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(("user", "item", "prediction"))
        writer.writerows((user, item, f"{value:.6g}") for user, item, value in rows)
    return 0


def recommend(options: argparse.Namespace) -> int:
    """List the best items for users of the training."""
    model = load(options.model)
    titles = {} if options.titles is None else read_titles(options.titles)
    if options.titles is not None and not any(_title(titles, i) for i in model.item_ids_.tolist()):
        warn(
            f"{options.titles}: none of its ids is an item of the model, such as "
            f"{model.item_ids_[0]}; the ids are expected in the first column"
        )
    if model._seen is None and not options.include_seen:
        raise ValueError(
            f"{options.model} does not hold what each user rated in training; to list the best "
            "items nevertheless, rated ones among them, add --include-seen"
        )
    users = model.user_ids_ if options.all_users else _known_users(options.users, model)
    ranking = model.recommend(users, options.n, exclude_seen=not options.include_seen)
    lists = [
        [
            {"item": item, "score": score} | _title(titles, item)
            for item, score in zip(ids, scores, strict=True)
            if score != -np.inf
        ]
        for ids, scores in zip(ranking.ids.tolist(), ranking.scores.tolist(), strict=True)
    ]
    if options.json:
        pairs = zip(users.tolist(), lists, strict=True)
        print(json.dumps([{"user": user, "items": found} for user, found in pairs]))
        return 0
    for user, found in zip(users.tolist(), lists, strict=True):
        print(f"user {user}")
        for entry in found:
            print(f"  {entry['score']:8.4f}  {entry['item']}  {entry.get('title', '')}".rstrip())
    return 0


def export_model(options: argparse.Namespace) -> int:
    """Write a model for other programs."""
    would = "the export would overwrite the model"
    for path in export._resolved(options.output, options.format)[0]:
        checked_output(str(path), (options.model,), would)
        if path.exists() and path.suffix[1:] not in (*FORMATS, "hnsw"):
            raise ValueError(
                f"{path}: this file is no export, and would be lost; name another file"
            )
    written = export.write(load(options.model), options.output, options.format)
    _show(options, {"model": options.model, "written": [str(path) for path in written]})
    return 0


def demo(options: argparse.Namespace) -> int:
    """Generate ratings, train, and show what comes out."""
    start = time.perf_counter()
    ratings = datasets.make_ratings(5000, 2000, 400_000, random_state=_SEED)
    train_set, test_set = ratings.split(0.1, random_state=_SEED)
    if not options.json:
        print(f"generated ratings: {ratings}")
    model = MatrixFactorization().fit(train_set, test_set)
    history = model.history_
    mean_only = float(np.std(test_set.values.astype(np.float64) - train_set.mean))
    user = int(train_set.user_ids[0])
    best = model.recommend(user, 5)
    similar = model.similar_items(int(best.ids[0]), 5)
    result = {
        "n_ratings": train_set.nnz,
        "n_test": test_set.nnz,
        "mean_only_rmse": mean_only,
        "eval_rmse": history["eval_rmse"][-1],
        "fit_seconds": history["seconds"][-1],
        "recommended": best.ids.tolist(),
        "similar": similar.ids.tolist(),
        "seconds": time.perf_counter() - start,
    }
    if options.json:
        print(json.dumps(result))
        return 0
    print(f"\n{model!r}, solver {model.solver!r}")
    print("iteration  train RMSE  test RMSE  seconds")
    for i in range(model.n_iter_):
        if i < 5 or (i + 1) % 5 == 0:
            print(
                f"{history['iteration'][i]:9d}  {history['train_rmse'][i]:10.4f}"
                f"  {history['eval_rmse'][i]:9.4f}  {history['seconds'][i]:7.2f}"
            )
    print(f"\ntest RMSE {result['eval_rmse']:.4f}; always predicting the mean: {mean_only:.4f}")
    print(f"\nbest unseen items for user {user}:")
    for item, score in zip(best.ids.tolist(), best.scores.tolist(), strict=True):
        print(f"  item {item:5d}  estimated rating {score:.2f}")
    print(f"\nmost similar to item {best.ids[0]}:")
    for item, score in zip(similar.ids.tolist(), similar.scores.tolist(), strict=True):
        print(f"  item {item:5d}  cosine {score:.2f}")
    return 0


def info(options: argparse.Namespace) -> int:
    """Show versions, instruction set and threads, or what a model file says of itself."""
    if options.model is not None:
        _show(options, {"model": options.model} | describe(options.model))
        return 0
    result = runtime_info() | {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
    }
    _show(options, result)
    return 0


def _known_users(texts: list[str], model: MatrixFactorization | ImplicitFactorization) -> IdArray:
    users = ids_in_kind_of(np.array(texts), model.user_ids_, "user")
    unknown = users[~np.isin(users, model.user_ids_)]
    if unknown.size:
        known = model.user_ids_
        raise ValueError(
            f"user {unknown[0].item()!r} is not in the model; it knows {len(known):,} users, from "
            f"{known[0].item()!r} to {known[-1].item()!r}"
        )
    return users


def _title(titles: dict[str, str], item: object) -> dict[str, str]:
    title = titles.get(str(item))
    return {} if title is None else {"title": title}


def _show(options: argparse.Namespace, result: dict[str, Any]) -> None:
    if options.json:
        print(json.dumps(result))
        return
    width = max(map(len, result))
    for key, value in result.items():
        shown = f"{value:.4f}" if isinstance(value, float) else value
        if isinstance(value, list):
            shown = ", ".join(map(str, value))
        print(f"{key:<{width}}  {shown}")
