"""`MatrixFactorization`: the estimator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from matfac import _core
from matfac._coerce import (
    FLOATS,
    as_native,
    as_ratings,
    check_shape,
    flag,
    integer,
    number,
    per_side,
    seed_from,
    threads,
)
from matfac._model import FactorModel
from matfac._params import Parameters
from matfac._progress import Progress
from matfac._ratings import Ratings
from matfac._warnings import warn_user

if TYPE_CHECKING:
    import os

    from typing_extensions import Self

Callback: TypeAlias = Callable[[dict[str, Any]], Any]
#: User and item factors, user and item biases.
Start: TypeAlias = tuple[NDArray[Any], NDArray[Any], "NDArray[Any] | None", "NDArray[Any] | None"]


def _name(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name}={value!r}: expected a name, a string")
    return value


def _number_or_none(name: str, value: object) -> float | None:
    return None if value is None else number(name, value, "a number or None")


#: Parameters that the core's settings have under the same name, by what checks their type. Their
#: range is the core's matter, and so are their defaults.
_SETTINGS: dict[str, Callable[[str, object], object]] = {
    "n_factors": integer,
    "solver": _name,
    "loss": _name,
    "biases": flag,
    "regularization": per_side,
    "bias_regularization": per_side,
    "regularization_exponent": number,
    "learning_rate": number,
    "max_iter": integer,
    "tol": number,
    "early_stopping": flag,
    "patience": integer,
    "init_std": _number_or_none,
}


class MatrixFactorization(Parameters, FactorModel):
    """Factorize ratings, R ≈ μ + b + c + U Vᵀ, by least squares on the observed pairs.

    The objective, which every solver lowers, is::

        ½ Σ (r_nm - μ - b_n - c_m - u_n·v_m)²  +  ½ Σ_n w_n (λ_U |u_n|² + β_U b_n²)
                                               +  ½ Σ_m w_m (λ_V |v_m|² + β_V c_m²)

    with λ ``regularization``, β ``bias_regularization`` and w = (number of ratings of the user or
    item) ** ``regularization_exponent``.

    Parameters
    ----------
    n_factors : int
        F, the length of a user's and an item's row.
    solver : {"als", "sgd", "batch"}
        ``"als"`` solves each row exactly in turn: few sweeps, nothing to tune; the first choice.
        ``"sgd"`` takes one cheap step a rating: for large F, where a sweep of als (F² a rating) is
        dear. ``"batch"`` is conjugate gradients on the full gradient, for comparison and study.
    loss : {"squared"}
        ½ (r - r̂)².
    biases : bool
        Fit the mean μ of the ratings and a bias of each user and item besides the factors.
    regularization : float, (user, item) pair of floats, or None
        λ, at least 0. Raise it when the held-out error rises while the training error falls. None:
        1.2 s 100^(½ - p), with s the standard deviation of the ratings and p the exponent.
    bias_regularization : float, (user, item) pair of floats, or None
        β, at least 0. None: 100^(½ - p).
    regularization_exponent : float
        p: 0 is plain, 1 weights by the number of ratings; ½ has served best on data of very
        different sizes.
    learning_rate : float
        ``sgd`` only: the initial rate, in units in which the ratings' standard deviation is 1, so
        it needs no adapting to their scale. The rate of each row falls as the row learns.
    max_iter : int
        Sweeps (als), epochs (sgd), descent steps (batch), at the most.
    tol : float
        Stop when the objective falls by less than this fraction of itself; 0: never.
    early_stopping : bool
        Stop when the error on ``eval_set`` has found no new minimum for ``patience`` iterations,
        and keep the factors of the best one.
    patience : int
        See ``early_stopping``.
    init : "random", or a tuple of arrays
        Where the factors start: ``(U, V)``, or ``(U, V, user_biases, item_biases)``, are copied.
    init_std : float or None
        Standard deviation of the random start. None: ½ √(s / F).
    dtype : {"float32", "float64"}
        Of the factors and of the arithmetic.
    n_threads : int
        0: all. The result does not depend on it, bit for bit.
    random_state : int, numpy.random.Generator or None
        Seed of the start and of the order of ``sgd``. None: a different one each time.
    verbose : bool or None
        Show a progress bar; None: in a terminal or notebook, for fits that take a while.

    Attributes
    ----------
    user_factors_, item_factors_ : ndarray, shapes (N, F) and (M, F), read-only
    user_biases_, item_biases_ : ndarray, shapes (N,) and (M,), read-only; None without ``biases``
    global_mean_ : float
        μ; 0 without ``biases``.
    user_ids_, item_ids_ : ndarray, shapes (N,) and (M,)
        Raw ids by code (row of the factors).
    regularization_, bias_regularization_ : (user, item) pairs of floats
        λ and β as they were used.
    n_iter_ : int
        Iterations that were run.
    best_iteration_ : int
        The one whose factors are kept (the last, without ``early_stopping``).
    stop_reason_ : {"max_iter", "converged", "early_stopping", "cancelled"}
    history_ : dict of lists
        One entry an iteration: ``iteration``, ``objective``, ``train_rmse``, ``eval_rmse`` (with an
        eval set) and ``seconds`` since the start. For ``sgd`` the training error is measured during
        the epoch, each rating just before its step.

    Notes
    -----
    Users and items without training ratings get zeros: they are estimated by what is known.

    References
    ----------
    Y. Koren, R. Bell, C. Volinsky: Matrix Factorization Techniques for Recommender Systems.
    Computer 42(8), 2009. Y. Zhou et al.: Large-scale Parallel Collaborative Filtering for the
    Netflix Prize. AAIM 2008.
    """

    # The parameters as they were when the factors were fitted; they may have been set anew since.
    _fitted_params: dict[str, Any]

    def __init__(
        self,
        n_factors: int = 32,
        *,
        solver: str = "als",
        loss: str = "squared",
        biases: bool = True,
        regularization: float | tuple[float, float] | None = None,
        bias_regularization: float | tuple[float, float] | None = None,
        regularization_exponent: float = 0.5,
        learning_rate: float = 0.2,
        max_iter: int = 20,
        tol: float = 0.0,
        early_stopping: bool = False,
        patience: int = 3,
        init: str | tuple[NDArray[Any], ...] = "random",
        init_std: float | None = None,
        dtype: DTypeLike = "float32",
        n_threads: int = 0,
        random_state: int | np.random.Generator | None = 0,
        verbose: bool | None = None,
    ) -> None:
        self.n_factors = n_factors
        self.solver = solver
        self.loss = loss
        self.biases = biases
        self.regularization = regularization
        self.bias_regularization = bias_regularization
        self.regularization_exponent = regularization_exponent
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.tol = tol
        self.early_stopping = early_stopping
        self.patience = patience
        self.init = init
        self.init_std = init_std
        self.dtype = dtype
        self.n_threads = n_threads
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        ratings: object,
        eval_set: object | None = None,
        *,
        callbacks: Callback | Sequence[Callback] | None = None,
    ) -> Self:
        """Factorize ``ratings``.

        Parameters
        ----------
        ratings : Ratings, SciPy sparse matrix or data frame
            Read where they lie if they are Ratings of the model's dtype.
        eval_set : the same, optional
            Held-out ratings, measured after each iteration.
        callbacks : callable or sequence of callables, optional
            Called after each iteration with a dict of the history's entries; one that returns False
            stops the fit.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Parameters out of range, unknown names, no ratings; before any work.
        DivergenceError
            The objective left the finite numbers. The model stays as it was.
        KeyboardInterrupt
            Ctrl-C takes effect after the current iteration; the model then holds the factors so far
            and is usable. The same goes for whatever a callback raises.
        """
        settings, dtype = self._checked_parameters()
        hooks = _hooks(callbacks)
        train = as_ratings(ratings)
        held_out = None if eval_set is None else self._aligned_eval_set(train, eval_set)
        params = self.get_params()
        factors = self._start(train, settings, dtype)
        eval_native: Any = None if held_out is None else as_native(held_out, dtype)
        progress = Progress(settings.max_iter, self.verbose)

        def on_iteration(info: dict[str, Any]) -> bool:
            if held_out is None:
                del info["eval_rmse"]
            progress.update(info)
            answers = [hook(info) for hook in hooks]
            return not any(answer is False for answer in answers)

        try:
            report = _core.fit(
                as_native(train, dtype), settings, *factors, eval_native, on_iteration
            )
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
        for name, check in _SETTINGS.items():
            setattr(settings, name, check(name, getattr(self, name)))
        settings.seed = seed_from(self.random_state)
        settings.n_threads = threads(self.n_threads)
        if not isinstance(self.init, str):
            settings.init = "given"
        elif self.init != "random":
            raise ValueError(f"init={self.init!r}: expected 'random' or a tuple of arrays")
        settings.validate()
        return settings, self._dtype()

    def _fold_in_settings(self) -> _core.Settings:
        if getattr(self, "regularization_", None) is None:
            raise ValueError(
                "the file of this model does not say with which regularization it was fitted, and "
                "new users' factors depend on it; set model.regularization_ and "
                "model.bias_regularization_ to (user, item) pairs"
            )
        settings = _core.Settings()
        for name in ("loss", "regularization_exponent"):
            setattr(settings, name, self._fitted_params[name])
        settings.biases = self.item_biases_ is not None
        settings.regularization = self.regularization_
        settings.bias_regularization = self.bias_regularization_
        return settings

    def _dtype(self) -> np.dtype[Any]:
        try:
            dtype = None if self.dtype is None else np.dtype(self.dtype)
        except (TypeError, ValueError):
            dtype = None
        if dtype is None or dtype not in FLOATS:
            raise ValueError(f"dtype={self.dtype!r}: expected 'float32' or 'float64'")
        return dtype

    @staticmethod
    def _aligned_eval_set(train: Ratings, eval_set: object) -> Ratings:
        given = as_ratings(eval_set, "eval_set")
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
        given = () if isinstance(self.init, str) else self._given_start(shapes, dtype)
        make = np.empty if isinstance(self.init, str) else np.zeros
        arrays = [*given, *(make(shape, dtype) for shape in list(shapes.values())[len(given) :])]
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
                arrays.append(np.array(array, dtype, order="C"))
            except (TypeError, ValueError):
                raise ValueError(f"init: {name} is not an array of numbers") from None
            check_shape(arrays[-1], shape, f"init: {name}")
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
        keys = ["iteration", "objective", "train_rmse", "seconds"]
        if with_eval:
            keys.insert(3, "eval_rmse")
        self.history_ = {key: [entry[key] for entry in report["history"]] for key in keys}
        self._seen = (train._native.offsets, train._native.items)
        self._fitted_params = params


def _hooks(callbacks: Callback | Sequence[Callback] | None) -> list[Callback]:
    if callbacks is None:
        return []
    hooks = list(callbacks) if isinstance(callbacks, Sequence) else [callbacks]
    for hook in hooks:
        if not callable(hook):
            raise TypeError(f"callbacks: {hook!r} is not callable; pass functions of one argument")
    return hooks
