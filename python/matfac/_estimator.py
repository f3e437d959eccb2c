"""`MatrixFactorization`: the estimator for ratings and labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MethodType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from matfac._estimator_base import IMPLICIT_LOSSES, LABEL_LOSSES, Callback, Estimator, Start
from matfac._model import weighted_mean
from matfac._ratings import Ratings

if TYPE_CHECKING:
    from typing_extensions import Self


class _OnlyFor:
    """A method that a model has with some losses only, so that `hasattr` tells the truth."""

    def __init__(self, *losses: str) -> None:
        self.losses = losses
        self.method: Callable[..., Any] = lambda: None

    def __call__(self, method: Callable[..., Any]) -> Any:
        self.method = method
        self.__doc__ = method.__doc__
        return self

    def __get__(self, model: MatrixFactorization | None, owner: type | None = None) -> Any:
        if model is None:
            return self.method
        loss = model._fitted_loss()
        if loss not in self.losses:
            raise AttributeError(
                f"{self.method.__name__} is for loss {' and '.join(map(repr, self.losses))}; this "
                f"model has loss {loss!r}: predict gives its estimates"
            )
        return MethodType(self.method, model)


class MatrixFactorization(Estimator):
    """Factorize ratings, R ≈ μ + b + c + U Vᵀ, on the observed pairs.

    The objective, which every solver lowers, is::

        Σ q_nm loss(r_nm, r̂_nm)  +  Σ_n w_n (½ λ_U |u_n|² + κ_U |u_n|₁ + ½ β_U b_n²)
                                 +  Σ_m w_m (½ λ_V |v_m|² + κ_V |v_m|₁ + ½ β_V c_m²)

        r̂_nm = μ + b_n + c_m + u_n·v_m

    with q the weights of the ratings (1 without), λ ``regularization``, κ ``l1_regularization``, β
    ``bias_regularization`` and w = (number of ratings of the user or item) **
    ``regularization_exponent``.

    Parameters
    ----------
    n_factors : int
        F, the length of a user's and an item's row.
    solver : {"als", "sgd", "batch", "ccd"}
        ``"als"`` solves each row exactly in turn: few sweeps, nothing to tune; the first choice.
        ``"sgd"`` takes one cheap step a rating: for large F, where a sweep of als (F² a rating) is
        dear. ``"batch"`` is conjugate gradients on the full gradient, for comparison and study.
        ``"ccd"`` solves one factor after the other: for L1 and non-negativity. Not every solver
        has every loss; docs/choosing.md has the table, and an error lists what a solver has.
    loss : str
        What a wrong estimate costs. Of ratings, with e = r - r̂: ``"squared"`` ½ e²,
        ``"absolute"`` |e|, ``"huber"`` ½ e² where |e| ≤ t and t (|e| - ½ t) beyond,
        ``"kullback_leibler"`` r log(r / r̂) - r + r̂ for ratings of at least 0 (factors are kept
        at 0 or above and biases at -½ μ or above, so that no r̂ is negative). Of labels, 1 for yes
        and 0 or -1 for no, with y = 1 or -1: ``"logistic"`` log(1 + exp(-y r̂)), ``"hinge"``
        max(0, 1 - y r̂), ``"squared_hinge"`` ½ max(0, 1 - y r̂)².
    huber_threshold : float or None
        t of ``"huber"``, above 0. None: s, the standard deviation of the ratings.
    biases : bool
        Fit a mean μ and a bias of each user and item besides the factors. μ is the mean of the
        ratings for losses of ratings, the logarithm of the odds of a yes for ``"logistic"``, and 0
        for the hinges.
    regularization : float, (user, item) pair of floats, or None
        λ, at least 0. Raise it when the held-out error rises while the training error falls. None:
        chosen by the loss and the ratings; 1.2 s 100^(½ - p) for ``"squared"``, with s their
        standard deviation and p the exponent. ``regularization_`` tells what it was.
    bias_regularization : float, (user, item) pair of floats, or None
        β, at least 0. None: likewise; 100^(½ - p) for ``"squared"``.
    l1_regularization : float, or (user, item) pair of floats
        κ, at least 0. Makes factors exactly 0.
    regularization_exponent : float
        p: 0 is plain, 1 weights by the number of ratings; ½ has served best on data of very
        different sizes.
    nonnegative : bool
        Keep all factors at 0 or above (with ``"kullback_leibler"`` always so).
    learning_rate : float
        ``sgd`` only: the initial rate, in units in which the ratings' standard deviation is 1, so
        it needs no adapting to their scale. The rate of each row falls as the row learns.
    row_solver : {"cholesky", "conjugate_gradient", "subspace"}
        ``als`` only: how a row is solved. Exactly; by a few steps from where it is; or in blocks
        of factors, each exactly. The latter two are for large F.
    cg_steps : int
        Steps of ``"conjugate_gradient"`` a row and sweep.
    subspace_size : int
        Factors in a block of ``"subspace"``.
    max_iter : int
        Sweeps (als, ccd), epochs (sgd), descent steps (batch), at the most.
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
        Standard deviation of the random start. None: chosen by the loss and the ratings; ½ √(s / F)
        for ``"squared"``. 0 leaves all factors at 0: only biases are fitted.
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
    classes_ : ndarray, shape (2,)
        The labels of the training as no and yes, [0, 1] or [-1, 1]; only with a loss of labels.
    regularization_, bias_regularization_ : (user, item) pairs of floats
        λ and β as they were used.
    huber_threshold_ : float or None
        t as it was used; None with another loss.
    n_iter_ : int
        Iterations that were run.
    best_iteration_ : int
        The one whose factors are kept (the last, without ``early_stopping``).
    stop_reason_ : {"max_iter", "converged", "early_stopping", "cancelled"}
    history_ : dict of lists
        One entry an iteration: ``iteration``, ``objective``, ``train_rmse``, ``eval_rmse`` (with an
        eval set) and ``seconds`` since the start. With a loss other than ``"squared"`` the errors
        are ``train_loss`` and ``eval_loss``, the mean loss of a rating. For ``sgd`` the training
        error is measured during the epoch, each rating just before its step.

    Notes
    -----
    Users and items without training ratings get zeros: they are estimated by what is known.

    References
    ----------
    Y. Koren, R. Bell, C. Volinsky: Matrix Factorization Techniques for Recommender Systems.
    Computer 42(8), 2009. Y. Zhou et al.: Large-scale Parallel Collaborative Filtering for the
    Netflix Prize. AAIM 2008.
    """

    classes_: NDArray[Any]

    def __init__(
        self,
        n_factors: int = 32,
        *,
        solver: str = "als",
        loss: str = "squared",
        huber_threshold: float | None = None,
        biases: bool = True,
        regularization: float | tuple[float, float] | None = None,
        bias_regularization: float | tuple[float, float] | None = None,
        l1_regularization: float | tuple[float, float] = 0.0,
        regularization_exponent: float = 0.5,
        nonnegative: bool = False,
        learning_rate: float = 0.2,
        row_solver: str = "cholesky",
        cg_steps: int = 3,
        subspace_size: int = 64,
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
        self.huber_threshold = huber_threshold
        self.biases = biases
        self.regularization = regularization
        self.bias_regularization = bias_regularization
        self.l1_regularization = l1_regularization
        self.regularization_exponent = regularization_exponent
        self.nonnegative = nonnegative
        self.learning_rate = learning_rate
        self.row_solver = row_solver
        self.cg_steps = cg_steps
        self.subspace_size = subspace_size
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
            Parameters out of range, unknown names, a loss that the solver does not have, no
            ratings, ratings that the loss does not allow; before any work.
        DivergenceError
            The objective left the finite numbers. The model stays as it was.
        KeyboardInterrupt
            Ctrl-C takes effect after the current iteration; the model then holds the factors so far
            and is usable. The same goes for whatever a callback raises.
        """
        return self._fit(ratings, eval_set, callbacks)

    def predict(self, users: object, items: object | None = None) -> Any:
        """Estimate the ratings or labels of pairs.

        Parameters
        ----------
        users, items : raw ids
            Arrays or sequences that broadcast against each other, or single ids. Instead of both,
            `Ratings` may be passed: their pairs are estimated, in CSR order.

        Returns
        -------
        ndarray of the model's dtype, or a float for a single pair
            The estimates r̂; with a loss of labels the label, the second of ``classes_`` where
            r̂ > 0 and else the first. For an unknown user or item, what is known is used: the other
            side's bias, the mean.

        Raises
        ------
        TypeError
            Ids of another kind (strings for integers) than the model's.
        ValueError
            Shapes that do not broadcast, missing ids.

        Notes
        -----
        2F flop a pair.
        """
        estimates = self._estimate(users, items)
        if not self._has_labels():
            return estimates
        labels = self.classes_[(np.asarray(estimates) > 0).astype(np.intp)]
        return labels if np.ndim(labels) else float(labels)

    @_OnlyFor(*LABEL_LOSSES)
    def decision_function(self, users: object, items: object | None = None) -> Any:
        """Return the estimates r̂ of pairs, above 0 for yes; only with a loss of labels.

        Parameters are those of `predict`.
        """
        return self._estimate(users, items)

    @_OnlyFor("logistic")
    def predict_proba(self, users: object, items: object | None = None) -> NDArray[Any]:
        """Return the probabilities of no and yes, 1 / (1 + exp(±r̂)); only with loss "logistic".

        Parameters are those of `predict`.

        Returns
        -------
        ndarray of the model's dtype, shape (..., 2)
            In the order of ``classes_``, for each pair; (2,) for a single one.
        """
        estimates = np.asarray(self._estimate(users, items), np.float64)
        both = np.stack([estimates, -estimates], axis=-1)
        return np.exp(-np.logaddexp(0.0, both)).astype(self.item_factors_.dtype)

    def score(self, ratings: object) -> float:
        """Return how good the predictions of ``ratings`` are.

        With a loss of ratings, the root of the mean squared error, in their own units: lower is
        better. With a loss of labels the accuracy, the share of labels that `predict` gets right:
        higher is better. Both by the weights of the ratings, if they have any. Unknown users and
        items are estimated like in `predict`.
        """
        self._require_fitted()
        if not self._has_labels():
            return super().score(ratings)
        test = self._as_ratings(ratings)
        unknown = ~np.isin(test.values, self.classes_)
        if unknown.any():
            at = int(unknown.argmax())
            raise ValueError(
                f"label {test.values[at]:g} at position {at} of CSR order is not one that the "
                f"model was fitted with, {self.classes_[0]:g} and {self.classes_[1]:g}"
            )
        return weighted_mean(self.predict(test) == test.values, test)

    @property
    def _score_name(self) -> str:
        return "accuracy" if self._has_labels() else "rmse"

    @property
    def _lower_score_is_better(self) -> bool:
        return not self._has_labels()

    def _setting(self, name: str) -> object:
        if name == "loss" and self.loss in IMPLICIT_LOSSES:
            raise ValueError(
                f"loss={self.loss!r} is of what users have chosen, without ratings: fit an "
                f"ImplicitFactorization(loss={self.loss!r})"
            )
        return super()._setting(name)

    def _has_labels(self) -> bool:
        return self._fitted_loss() in LABEL_LOSSES

    def _keep(
        self,
        train: Ratings,
        factors: Start,
        report: dict[str, Any],
        params: dict[str, Any],
        *,
        with_eval: bool,
    ) -> None:
        super()._keep(train, factors, report, params, with_eval=with_eval)
        self.__dict__.pop("classes_", None)
        if self._has_labels():
            no = -1.0 if train.values.min() < 0 else 0.0
            self.classes_ = np.array([no, 1.0], self.item_factors_.dtype)
            self.classes_.flags.writeable = False
