"""Options that commands share; they have the names of the Python parameters."""

from __future__ import annotations

import argparse
import inspect
from typing import Any

from matfac import ImplicitFactorization, MatrixFactorization, Ratings
from matfac._estimator_base import IMPLICIT_LOSSES

#: Parameters of the models, with what they are called in help texts. The loss decides which model
#: it is.
_MODEL_OPTIONS: dict[str, tuple[Any, str]] = {
    "n_factors": (int, "latent factors"),
    "solver": (str, "als, sgd, batch or ccd; sgd for bpr and warp"),
    "loss": (
        str,
        "of ratings: squared, absolute, huber, kullback_leibler; of labels (0 or -1, and 1): "
        "logistic, hinge, squared_hinge; of what users have chosen: implicit_squared, bpr, warp",
    ),
    "huber_threshold": (float, "error from which huber grows linearly"),
    "regularization": (
        float,
        "penalty on the factors: one number, or one for users and one for items",
    ),
    "bias_regularization": (float, "penalty on the biases, likewise"),
    "l1_regularization": (float, "penalty on the absolute factors, likewise"),
    "regularization_exponent": (float, "0: plain, 1: weighted by the number of ratings"),
    "unobserved_weight": (float, "implicit_squared: weight of what was not chosen"),
    "confidence_scale": (float, "implicit_squared: what a strength of 1 adds to the weight"),
    "negatives": (str, "bpr, warp: how they are drawn, uniform or popularity"),
    "max_trials": (int, "warp: draws until a negative violates the margin"),
    "learning_rate": (float, "initial rate of sgd"),
    "row_solver": (str, "als: cholesky, conjugate_gradient or subspace"),
    "cg_steps": (int, "steps of conjugate_gradient"),
    "subspace_size": (int, "factors in a block of subspace"),
    "max_iter": (int, "sweeps, epochs or steps at the most"),
    "tol": (float, "stop when the objective falls by less than this fraction"),
    "patience": (int, "iterations without a new best before early stopping"),
    "init_std": (float, "standard deviation of the initial factors"),
    "dtype": (str, "float32 or float64"),
    "n_threads": (int, "0: all"),
    "random_state": (int, "seed"),
}
_PAIRS = ("regularization", "bias_regularization", "l1_regularization")
_FLAGS = {
    "biases": "fit the mean and biases of users and items besides the factors",
    "nonnegative": "keep all factors at 0 or above",
    "compare_users": "bpr, warp: compare users of an item, not items of a user",
    "early_stopping": "stop when the held-out error no longer falls, and keep the best",
}


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the parameters of the models."""
    group = parser.add_argument_group("model")
    defaults = dict(inspect.signature(ImplicitFactorization.__init__).parameters)
    defaults |= inspect.signature(MatrixFactorization.__init__).parameters
    for name, (kind, text) in _MODEL_OPTIONS.items():
        default = defaults[name].default
        shown = "by the ratings" if default is None else default
        group.add_argument(
            _flag(name),
            type=kind,
            nargs="+" if name in _PAIRS else None,
            metavar="NUMBER" if kind is not str else "NAME",
            default=argparse.SUPPRESS,
            help=f"{text} (default: {shown})",
        )
    for name, text in _FLAGS.items():
        group.add_argument(
            _flag(name),
            action=argparse.BooleanOptionalAction,
            default=argparse.SUPPRESS,
            help=f"{text} (default: {'yes' if defaults[name].default else 'no'})",
        )


def model_from(options: argparse.Namespace) -> MatrixFactorization | ImplicitFactorization:
    """Return the estimator that the options ask for: the loss decides which."""
    given = vars(options)
    params = {name: given[name] for name in (*_MODEL_OPTIONS, *_FLAGS) if name in given}
    for name in _PAIRS:
        if name in params:
            numbers = params[name]
            params[name] = numbers[0] if len(numbers) == 1 else tuple(numbers)
    is_implicit = params.get("loss") in IMPLICIT_LOSSES
    cls = ImplicitFactorization if is_implicit else MatrixFactorization
    for name in params:
        if name not in cls._parameter_names():
            losses = "implicit_squared, bpr and warp"
            raise ValueError(
                f"{_flag(name)} is an option of {'other losses than' if is_implicit else 'loss'} "
                f"{losses}; the loss is {params.get('loss', MatrixFactorization().loss)}"
            )
    return cls(**params)


def add_held_out(parser: argparse.ArgumentParser) -> None:
    """Add the ways of measuring on held-out ratings."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--test", metavar="FILE", help="held-out ratings, measured each iteration")
    group.add_argument(
        "--test-fraction",
        type=float,
        metavar="FRACTION",
        help="hold out this part of the ratings, drawn at random",
    )


def add_reading(parser: argparse.ArgumentParser, *, rating: bool = True) -> None:
    """Add what says how a file of ratings is to be read; all of it is guessed otherwise."""
    group = parser.add_argument_group("reading files")
    group.add_argument("--format", help="text, csv, tsv or parquet (default: by the file's ending)")
    group.add_argument(
        "--separator", help="one character, '::', or ' ' for any space (default: guessed)"
    )
    group.add_argument(
        "--header",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="whether the first line holds the columns' names (default: guessed)",
    )
    group.add_argument("--encoding", default="utf-8", help="of text (default: utf-8)")
    roles = ["user", "item"] + (["rating", "timestamp", "weight"] if rating else [])
    one_of = group.add_mutually_exclusive_group() if rating else group
    for role in roles:
        (one_of if role == "rating" else group).add_argument(
            f"--{role}",
            metavar="COLUMN",
            help=f"{role} column: its name, or position from 0 (default: "
            f"{'none' if role == 'weight' else 'guessed'})",
        )
    group.add_argument(
        "--string-ids", action="store_true", help="keep ids as strings, even if all are integers"
    )
    if rating:
        one_of.add_argument(
            "--no-rating",
            dest="rating",
            action="store_const",
            const=False,
            help="the file says only who has chosen what, for the losses of choices",
        )
        group.add_argument(
            "--duplicates",
            choices=["error", "first", "last", "mean", "sum"],
            help="what to keep of a pair that occurs twice (default: last, with a warning)",
        )


def reading_from(options: argparse.Namespace) -> dict[str, Any]:
    """Return the keyword arguments of `Ratings.read`."""
    names = inspect.signature(Ratings.read).parameters
    chosen = {name: value for name, value in vars(options).items() if name in names}
    chosen.pop("path", None)
    for role in ("user", "item", "rating", "timestamp", "weight"):
        if role in chosen:
            chosen[role] = _column(chosen[role])
    return chosen


def _column(text: str | bool | None) -> str | int | bool | None:
    return int(text) if isinstance(text, str) and text.isdecimal() else text


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
