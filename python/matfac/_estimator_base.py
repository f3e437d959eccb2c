"""What the estimators share: parameters to settings, the fit, what it leaves, saving."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from matfac import _core
from matfac._coerce import (
    FLOATS,
    aligned_empty,
    as_native,
    check_shape,
    flag,
    integer,
    number,
    per_side,
    raw_ids,
    seed_from,
    threads,
)
from matfac._model import FactorModel
from matfac._params import Parameters
from matfac._progress import Progress
from matfac._ratings import Ratings
from matfac._unread import forget
from matfac._warnings import warn_user

if TYPE_CHECKING:
    import os

    from typing_extensions import Self

Callback: TypeAlias = Callable[[dict[str, Any]], Any]
#: User and item factors, user and item biases.
Start: TypeAlias = tuple[NDArray[Any], NDArray[Any], "NDArray[Any] | None", "NDArray[Any] | None"]

#: Losses that ask of a rating only whether it is a yes or a no.
LABEL_LOSSES = ("logistic", "hinge", "squared_hinge")
#: Losses of what was chosen among all there is: those of `ImplicitFactorization`.
IMPLICIT_LOSSES = ("implicit_squared", "bpr", "warp")


def _name(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name}={value!r}: expected a name, a string")
    return value


def _number_or_none(name: str, value: object) -> float | None:
    return None if value is None else number(name, value, "a number or None")


def _both_sides(name: str, value: object) -> tuple[float, float]:
    pair = per_side(name, value)
    if pair is None:
        raise TypeError(f"{name}=None: expected a number or a (user, item) pair of numbers")
    return pair


#: Parameters that the core's settings have under the same name, by what checks their type. Their
#: range is the core's matter, and so are their defaults.
_SETTINGS: dict[str, Callable[[str, object], object]] = {
    "n_factors": integer,
    "solver": _name,
    "loss": _name,
    "huber_threshold": _number_or_none,
    "biases": flag,
    "regularization": per_side,
    "bias_regularization": per_side,
    "l1_regularization": _both_sides,
    "regularization_exponent": number,
    "nonnegative": flag,
    "learning_rate": number,
    "row_solver": _name,
    "cg_steps": integer,
    "subspace_size": integer,
    "unobserved_weight": number,
    "confidence_scale": _number_or_none,
    "negatives": _name,
    "max_trials": integer,
    "compare_users": flag,
    "max_iter": integer,
    "tol": number,
    "early_stopping": flag,
    "patience": integer,
    "init_std": _number_or_none,
}
#: Settings that say what the row of a new user minimizes, beside the penalties that were found.
_FOLD_IN_SETTINGS = (
    "loss",
    "l1_regularization",
    "regularization_exponent",
    "nonnegative",
    "unobserved_weight",
    "confidence_scale",
)


class Estimator(Parameters, FactorModel):
    """A model that the core fits. Its parameters have the names and defaults of the settings."""

    n_factors: int
    loss: str
    regularization: float | tuple[float, float] | None
    bias_regularization: float | tuple[float, float] | None
    init: str | tuple[NDArray[Any], ...]
    dtype: DTypeLike
    random_state: Any
    early_stopping: bool
    verbose: bool | None

    regularization_: tuple[float, float]
    bias_regularization_: tuple[float, float]
    huber_threshold_: float | None
    confidence_scale_: float | None
    n_iter_: int
    best_iteration_: int
    stop_reason_: str
    history_: dict[str, list[Any]]

    # The parameters as they were when the factors were fitted; they may have been set anew since.
    _fitted_params: dict[str, Any]

    def _fit(
        self,
        data: object,
        eval_set: object | None,
        callbacks: Callback | Sequence[Callback] | None,
    ) -> Self:
        """Check everything, run the core, keep what it found."""
        settings, dtype = self._checked_parameters()
        hooks = _hooks(callbacks)
        train = self._as_ratings(data)
        held_out = None if eval_set is None else self._aligned_eval_set(train, eval_set)
        params = self.get_params()
        factors = self._start(train, settings, dtype)
        eval_native: Any = None if held_out is None else as_native(held_out, dtype)
        progress = Progress(settings.max_iter, self.verbose)
        _, eval_key = _history_keys(settings.loss)

        def on_iteration(info: dict[str, Any]) -> bool:
            if held_out is None:
                info.pop(eval_key)
            progress.update(info)
            answers = [hook(info) for hook in hooks]
            return not any(answer is False for answer in answers)

        try:
            native = as_native(train, dtype)
            with raw_ids(train):
                report = _core.fit(native, settings, *factors, eval_native, on_iteration)
        finally:
            progress.close()
        self._keep(train, factors, report, params, with_eval=held_out is not None)
        if report["raised"] is not None:
            raise report["raised"]
        return self

    def save(self, path: str | os.PathLike[str], *, include_seen: bool = True) -> None:
        """Write the model to one safetensors file, atomically.

        Parameters
        ----------
        path : str or path
            An existing file is replaced only once the new one is complete on the disk.
        include_seen : bool
            Keep which items each user has rated (4 bytes a rating), so that the loaded model's
            `recommend` can leave them out.

        Notes
        -----
        The same fit makes the same file, byte for byte: ``history_`` is kept without its seconds.
        """
        from matfac._persistence import save

        self._require_fitted()
        save(self, path, include_seen)

    # ---- inside ---------------------------------------------------------------------------------

    def _checked_parameters(self) -> tuple[_core.Settings, np.dtype[Any]]:
        """Return the parameters as the core's settings, and the dtype."""
        settings = _core.Settings()
        for name in self._parameter_names():
            if name in _SETTINGS:
                setattr(settings, name, _SETTINGS[name](name, self._setting(name)))
        settings.seed = seed_from(self.random_state)
        settings.n_threads = threads(self.n_threads)
        if not isinstance(self.init, str):
            settings.init = "given"
        elif self.init != "random":
            raise ValueError(f"init={self.init!r}: expected 'random' or a tuple of arrays")
        settings.validate()
        return settings, self._dtype()

    def _setting(self, name: str) -> object:
        """Return the value of a parameter, as the core's settings know it."""
        return getattr(self, name)

    @property
    def _score_name(self) -> str:
        """The measure that `score` returns, for those who report it."""
        raise NotImplementedError

    @property
    def _lower_score_is_better(self) -> bool:
        """Whether that measure is an error, for those who compare models."""
        raise NotImplementedError

    def _fitted_loss(self) -> str:
        """Return the loss that the model was fitted with, or else is to be."""
        params: dict[str, Any] = getattr(self, "_fitted_params", None) or {"loss": self.loss}
        return str(params["loss"])

    def _fold_in_settings(self) -> _core.Settings:
        if getattr(self, "regularization_", None) is None:
            raise ValueError(
                "the file of this model does not say with which regularization it was fitted, and "
                "new users' factors depend on it; set model.regularization_ and "
                "model.bias_regularization_ to (user, item) pairs"
            )
        settings = _core.Settings()
        for name in _FOLD_IN_SETTINGS:
            if name in self._fitted_params:
                setattr(settings, name, _SETTINGS[name](name, self._fitted_params[name]))
        for name in ("huber_threshold", "confidence_scale"):
            found = getattr(self, f"{name}_", None)
            if found is not None:
                setattr(settings, name, found)
        settings.biases = self.item_biases_ is not None
        settings.regularization = self.regularization_
        settings.bias_regularization = getattr(self, "bias_regularization_", None)
        return settings

    def _dtype(self) -> np.dtype[Any]:
        try:
            dtype = None if self.dtype is None else np.dtype(self.dtype)
        except (TypeError, ValueError):
            dtype = None
        if dtype is None or dtype not in FLOATS:
            raise ValueError(f"dtype={self.dtype!r}: expected 'float32' or 'float64'")
        return dtype

    def _aligned_eval_set(self, train: Ratings, eval_set: object) -> Ratings:
        given = self._as_ratings(eval_set, "eval_set")
        aligned, n_unknown = given.aligned_to(user_ids=train.user_ids, item_ids=train.item_ids)
        if n_unknown:
            warn_user(
                f"{n_unknown} of the {given.nnz} ratings of eval_set are of users or items that "
                "the training ratings do not have; they are left out of the evaluation",
                UserWarning,
            )
        return aligned

    def _start(self, train: Ratings, settings: _core.Settings, dtype: np.dtype[Any]) -> Start:
        """Return the arrays that the core will fill."""
        n_factors = settings.n_factors
        shapes: dict[str, tuple[int, ...]] = {
            "user_factors": (train.n_users, n_factors),
            "item_factors": (train.n_items, n_factors),
        }
        if settings.biases:
            shapes |= {"user_biases": (train.n_users,), "item_biases": (train.n_items,)}
        given = [] if isinstance(self.init, str) else self._given_start(shapes, dtype)
        missing = list(shapes.values())[len(given) :]
        arrays = [*given, *(aligned_empty(shape, dtype) for shape in missing)]
        if given:
            for array in arrays[len(given) :]:  # biases
                array[:] = 0
        users, items, *biases = arrays
        return (users, items, biases[0], biases[1]) if biases else (users, items, None, None)

    def _given_start(
        self, shapes: dict[str, tuple[int, ...]], dtype: np.dtype[Any]
    ) -> list[NDArray[Any]]:
        """Return copies of the arrays in ``init``, checked."""
        if not isinstance(self.init, tuple | list) or len(self.init) not in (2, len(shapes)):
            kind = type(self.init).__name__
            found = f"{len(self.init)} arrays" if isinstance(self.init, tuple | list) else kind
            raise ValueError(
                "init: expected 'random', (user_factors, item_factors) or, with biases, "
                f"(user_factors, item_factors, user_biases, item_biases); got {found}"
            )
        arrays = []
        for (name, shape), array in zip(shapes.items(), self.init, strict=False):
            try:
                numbers = np.asarray(array, dtype)
            except (TypeError, ValueError):
                raise ValueError(f"init: {name} is not an array of numbers") from None
            check_shape(numbers, shape, f"init: {name}")
            arrays.append(aligned_empty(shape, dtype))
            arrays[-1][:] = numbers
        return arrays

    def _keep(
        self,
        train: Ratings,
        factors: Start,
        report: dict[str, Any],
        params: dict[str, Any],
        *,
        with_eval: bool,
    ) -> None:
        for array in factors:
            if array is not None:
                array.flags.writeable = False
        self.user_factors_, self.item_factors_, self.user_biases_, self.item_biases_ = factors
        self.global_mean_ = report["global_mean"]
        self.user_ids_, self.item_ids_ = train.user_ids, train.item_ids
        self.regularization_ = report["settings"].regularization
        self.bias_regularization_ = report["settings"].bias_regularization
        self.n_iter_ = report["n_iter"]
        self.best_iteration_ = report["best_iteration"]
        self.stop_reason_ = report["stop_reason"]
        used = report["settings"]
        self.huber_threshold_ = used.huber_threshold if used.loss == "huber" else None
        self.confidence_scale_ = used.confidence_scale if used.loss == "implicit_squared" else None
        train_key, eval_key = _history_keys(report["settings"].loss)
        keys = ["iteration", "objective", train_key, *([eval_key] if with_eval else []), "seconds"]
        self.history_ = {key: [entry[key] for entry in report["history"]] for key in keys}
        self._seen = (train._native.offsets, train._native.items)
        self._fitted_params = params
        forget(self)


def _history_keys(loss: str) -> tuple[str, str]:
    """Return what the history calls the errors on the training and the held-out ratings."""
    measure = "rmse" if loss == "squared" else "loss"
    return f"train_{measure}", f"eval_{measure}"


def _hooks(callbacks: Callback | Sequence[Callback] | None) -> list[Callback]:
    if callbacks is None:
        return []
    hooks = list(callbacks) if isinstance(callbacks, Sequence) else [callbacks]
    for hook in hooks:
        if not callable(hook):
            raise TypeError(f"callbacks: {hook!r} is not callable; pass functions of one argument")
    return hooks
