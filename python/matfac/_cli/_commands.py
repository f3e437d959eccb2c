"""What the commands do. Results go to standard output, all else to standard error."""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from matfac import MatrixFactorization, Ratings, datasets, load, metrics, runtime_info
from matfac._cli._options import model_from, reading_from
from matfac._cli._titles import read_titles
from matfac._ids import IdArray


def train(options: argparse.Namespace) -> int:
    """Fit a model to a file and write it."""
    model = model_from(options)
    model._native_settings()  # refuses bad parameters before anything is read
    output = _checked_output(options.output)
    ratings = _read(options.ratings, options)
    held_out = None
    if options.test is not None:
        held_out = _read(options.test, options)
    elif options.test_fraction is not None:
        seed = options.random_state if hasattr(options, "random_state") else 0
        ratings, held_out = ratings.split(options.test_fraction, random_state=seed)
    interrupted = False
    try:
        model.fit(ratings, held_out)
    except KeyboardInterrupt:
        if not hasattr(model, "item_factors_"):
            raise
        interrupted = True
        _say(f"interrupted after {model.n_iter_} iterations; the model so far is kept")
    model.save(output)
    history = model.history_
    result = {
        "model": str(output),
        "n_users": ratings.n_users,
        "n_items": ratings.n_items,
        "n_ratings": ratings.nnz,
        "n_iter": model.n_iter_,
        "stop_reason": model.stop_reason_,
        "train_rmse": history["train_rmse"][-1],
        "seconds": history["seconds"][-1],
    }
    if held_out is not None:
        result["n_test"] = held_out.nnz
        result["eval_rmse"] = model.score(held_out)
    _show(options, result)
    return 130 if interrupted else 0


def evaluate(options: argparse.Namespace) -> int:
    """Measure a model on a file of ratings."""
    model = load(options.model)
    ratings = _read(options.ratings, options)
    estimates = model.predict(ratings)
    users, items, _ = ratings.to_arrays()
    result = {
        "rmse": metrics.rmse(ratings.values, estimates),
        "mae": metrics.mae(ratings.values, estimates),
        "n_ratings": ratings.nnz,
        "n_unknown_users": int(np.sum(~np.isin(users, model.user_ids_))),
        "n_unknown_items": int(np.sum(~np.isin(items, model.item_ids_))),
    }
    _show(options, result)
    return 0


def predict(options: argparse.Namespace) -> int:
    """Estimate pairs from a file or from the command line, in the order given."""
    model = load(options.model)
    if (options.pairs is None) == (options.users is None and options.items is None):
        raise ValueError("predict needs either a file of pairs, or --users and --items")
    if options.pairs is not None:
        users, items = _read_pairs(options)
    else:
        if options.users is None or options.items is None:
            raise ValueError("--users and --items go together")
        if len(options.users) != len(options.items):
            raise ValueError(
                f"--users names {len(options.users)} and --items {len(options.items)}: one of each "
                "per pair is needed"
            )
        users = _raw_ids(options.users, model.user_ids_, "user")
        items = _raw_ids(options.items, model.item_ids_, "item")
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
    if options.all_users:
        users = model.user_ids_
    else:
        users = _raw_ids(options.users, model.user_ids_, "user")
        unknown = users[~np.isin(users, model.user_ids_)]
        if unknown.size:
            raise ValueError(
                f"user {unknown[0].item()!r} is not in the model; it knows {len(model.user_ids_)} "
                f"users, from {model.user_ids_[0].item()!r} to {model.user_ids_[-1].item()!r}"
            )
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


def demo(options: argparse.Namespace) -> int:
    """Generate ratings, train, and show what comes out."""
    start = time.perf_counter()
    ratings = datasets.make_ratings(5000, 2000, 400_000, random_state=0)
    train_set, test_set = ratings.split(0.1, random_state=0)
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
    """Show versions, instruction set and threads."""
    result = runtime_info() | {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
    }
    _show(options, result)
    return 0


def _read(path: str, options: argparse.Namespace) -> Ratings:
    ratings = Ratings.read(path, **reading_from(options))
    _say(f"read {ratings.source}")
    _say(f"     {ratings}")
    return ratings


def _read_pairs(options: argparse.Namespace) -> tuple[IdArray, IdArray]:
    """Return raw users and items of a file, in its order."""
    from matfac._reading import ReadOptions, read_triplets

    chosen = reading_from(options)
    columns = {"user": chosen.pop("user"), "item": chosen.pop("item")}
    columns |= {"rating": False, "timestamp": False}
    pairs, guess = read_triplets(
        options.pairs, ReadOptions(columns=columns, dtype=None, **chosen)
    )
    _say(f"read {guess}")
    return pairs.user_ids[pairs.users], pairs.item_ids[pairs.items]


def _checked_output(path: str) -> Path:
    """Refuse a place that cannot be written to before any work is done."""
    output = Path(path)
    folder = output.parent
    if not folder.is_dir():
        raise FileNotFoundError(2, "the folder of the output does not exist", str(folder))
    if output.is_dir():
        raise IsADirectoryError(21, "the output is a folder; name a file", str(output))
    if not os.access(folder, os.W_OK):
        raise PermissionError(13, "the folder of the output is not writeable", str(folder))
    return output


def _raw_ids(texts: list[str], known: IdArray, what: str) -> IdArray:
    """Return ids of the command line in the kind of the model's."""
    if known.dtype.kind != "i":
        return np.array(texts)
    try:
        return np.array([int(text) for text in texts], np.int64)
    except (ValueError, OverflowError):
        wrong = next(text for text in texts if not text.lstrip("-").isdecimal())
        raise ValueError(f"{what} {wrong!r}: the {what}s of this model are integers") from None


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


def _say(text: str) -> None:
    print(text, file=sys.stderr)
