"""`ImplicitFactorization`: the estimator for what users have chosen, without any rating."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from matfac._estimator_base import IMPLICIT_LOSSES, Callback, Estimator
from matfac._interactions import as_interactions
from matfac._ratings import Ratings

if TYPE_CHECKING:
    from typing_extensions import Self


class ImplicitFactorization(Estimator):
    """Factorize interactions: clicks, plays, purchases, whatever tells of a choice.

    What was chosen is known, and how much (counts, seconds); what was not chosen is nearly all the
    rest, and says little. The model gives each user and item a row of F factors such that what a
    user has chosen comes before what not, r̂_nm = c_m + u_n·v_m.

    With w = (number of interactions of the user or item) ** ``regularization_exponent``, λ
    ``regularization``, κ ``l1_regularization``, β ``bias_regularization`` the penalty is::

        Σ_n w_n (½ λ_U |u_n|² + κ_U |u_n|₁)  +  Σ_m w_m (½ λ_V |v_m|² + κ_V |v_m|₁ + ½ β_V c_m²)

    Parameters
    ----------
    n_factors : int
        F, the length of a user's and an item's row.
    loss : {"implicit_squared", "bpr", "warp"}
        ``"implicit_squared"`` (iALS): over all pairs, without biases, a chosen one should be 1 and
        the others 0; with w₀ ``unobserved_weight``, c ``confidence_scale`` and r the strength::

            ½ Σ_chosen (w₀ + c r) (1 - r̂)²  +  ½ w₀ Σ_others r̂²

        ``"bpr"``: of a chosen item m and another j, log(1 + exp(-(r̂_nm - r̂_nj))), for each chosen
        item one other, drawn anew in each epoch. ``"warp"``: the hinge of the same difference with
        a margin of 1, for the first of up to ``max_trials`` drawn items that violates it, weighted
        by the rank that the number of draws lets expect: for the top of the list.
    solver : {None, "als", "sgd"}
        None: ``"als"`` for ``"implicit_squared"``, ``"sgd"`` for the other two.
    biases : bool or None
        Fit a bias c of each item. None: as the loss allows, True for ``"bpr"`` and ``"warp"`` and
        False for ``"implicit_squared"``.
    regularization, bias_regularization, l1_regularization, regularization_exponent, nonnegative
        As for `MatrixFactorization`; None chooses by the loss.
    unobserved_weight : float
        w₀ of ``"implicit_squared"``, above 0. Larger, and what was not chosen counts for more.
    confidence_scale : float or None
        c of ``"implicit_squared"``, above 0: what a strength of 1 adds to the weight. None: 1 over
        the mean strength, so that the unit of the strengths does not matter. Counts that reach into
        the thousands are better passed as their logarithms.
    negatives : {"uniform", "popularity"}
        How ``"bpr"`` and ``"warp"`` draw the other item: each alike, or as often as it was chosen.
    max_trials : int
        See ``"warp"``.
    compare_users : bool
        ``"bpr"`` and ``"warp"``: for an item compare users, instead of items for a user.
    learning_rate : float
        ``sgd`` only: the initial rate.
    row_solver, cg_steps, subspace_size, max_iter, tol, early_stopping, patience, init, init_std
        As for `MatrixFactorization`.
    dtype, n_threads, random_state, verbose
        As for `MatrixFactorization`.

    Attributes
    ----------
    user_factors_, item_factors_, user_biases_, item_biases_, global_mean_, user_ids_, item_ids_
        As of `MatrixFactorization`; ``global_mean_`` is 0, and ``user_biases_``, which would change
        no ranking, are 0 or None.
    regularization_, bias_regularization_, n_iter_, best_iteration_, stop_reason_
        As of `MatrixFactorization`.
    confidence_scale_ : float or None
        As it was used, the given one or that chosen by the strengths; None with the other losses.
    history_ : dict of lists
        One entry an iteration: ``iteration``, ``objective``, ``train_loss``, ``eval_loss`` (with an
        eval set) and ``seconds`` since the start.

    Notes
    -----
    *Strengths* must be above 0. Stored zeros are left out, with a warning, and negative ones are
    refused. ``Ratings.from_arrays(users, items)`` makes all strengths 1; of a log of events, in
    which pairs repeat, ``duplicates="sum"`` makes counts. The ranking losses do not look at
    strengths, only at what was chosen. Weights of the interactions multiply their terms.

    Items without interactions get zeros, and so do users, but for ``"implicit_squared"``: there
    they get the mean row of the other users, so that they are recommended what most choose.

    `fold_in` minimizes the objective over the new user's row, penalties and signs included, for
    ``"bpr"`` with up to 512 fixed items (with ``compare_users`` users) in place of the drawn ones.
    ``"warp"``, whose weights depend on ranks, has no such objective: the row is that of ``"bpr"``.

    References
    ----------
    Y. Hu, Y. Koren, C. Volinsky: Collaborative Filtering for Implicit Feedback Datasets. ICDM 2008.
    S. Rendle et al.: Revisiting the Performance of iALS on Item Recommendation Benchmarks. RecSys
    2022. S. Rendle et al.: BPR: Bayesian Personalized Ranking from Implicit Feedback. UAI 2009.
    J. Weston, S. Bengio, N. Usunier: WSABIE: Scaling Up To Large Vocabulary Image Annotation.
    IJCAI 2011.
    """

    def __init__(
        self,
        n_factors: int = 32,
        *,
        loss: str = "implicit_squared",
        solver: str | None = None,
        biases: bool | None = None,
        regularization: float | tuple[float, float] | None = None,
        bias_regularization: float | tuple[float, float] | None = None,
        l1_regularization: float | tuple[float, float] = 0.0,
        regularization_exponent: float = 0.5,
        nonnegative: bool = False,
        unobserved_weight: float = 0.3,
        confidence_scale: float | None = None,
        negatives: str = "uniform",
        max_trials: int = 64,
        compare_users: bool = False,
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
        self.loss = loss
        self.solver = solver
        self.biases = biases
        self.regularization = regularization
        self.bias_regularization = bias_regularization
        self.l1_regularization = l1_regularization
        self.regularization_exponent = regularization_exponent
        self.nonnegative = nonnegative
        self.unobserved_weight = unobserved_weight
        self.confidence_scale = confidence_scale
        self.negatives = negatives
        self.max_trials = max_trials
        self.compare_users = compare_users
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
        interactions: object,
        eval_set: object | None = None,
        *,
        callbacks: Callback | Sequence[Callback] | None = None,
    ) -> Self:
        """Factorize ``interactions``.

        Parameters
        ----------
        interactions : Ratings, SciPy sparse matrix or data frame
            Who has chosen what, and how much: above 0. A data frame of two columns is users and
            items.
        eval_set : the same, optional
            Held-out interactions, none of those of the training; after each iteration their loss is
            measured, among what was not chosen at all.
        callbacks : callable or sequence of callables, optional
            As for `MatrixFactorization.fit`, and so are the errors.

        Returns
        -------
        self
        """
        return self._fit(interactions, eval_set, callbacks)

    def predict(self, users: object, items: object | None = None) -> Any:
        """Return the scores r̂ of pairs: the higher, the sooner the item is recommended.

        Scores of one user are meant to be compared with each other. Parameters, the form of the
        result and errors are those of `MatrixFactorization.predict`.
        """
        return self._estimate(users, items)

    def score(self, interactions: object) -> float:
        """Return NDCG@10 of the recommendations for the users of held-out ``interactions``.

        What a user has chosen in training is not recommended. 1 is best, higher is better;
        `metrics.evaluate_ranking` has other measures.
        """
        from matfac._evaluation import evaluate_ranking

        self._require_fitted()
        return evaluate_ranking(self, self._as_ratings(interactions), 10, measures="ndcg")["ndcg"]

    @property
    def _score_name(self) -> str:
        return "ndcg@10"

    @property
    def _lower_score_is_better(self) -> bool:
        return False

    def _as_ratings(self, data: object, what: str = "interactions") -> Ratings:
        return as_interactions(data, what)

    def _setting(self, name: str) -> object:
        value = getattr(self, name)
        if name == "loss" and value not in IMPLICIT_LOSSES and isinstance(value, str):
            raise ValueError(
                f"loss={value!r}: ImplicitFactorization has {', '.join(map(repr, IMPLICIT_LOSSES))}"
                "; losses of ratings and labels are those of MatrixFactorization"
            )
        if value is None and name == "solver":
            return "als" if self.loss == "implicit_squared" else "sgd"
        if value is None and name == "biases":
            return self.loss != "implicit_squared"
        return value
