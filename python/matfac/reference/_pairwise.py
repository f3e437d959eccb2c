"""Pairwise ranking: bpr and warp by stochastic descent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from matfac.reference._als import transpose
from matfac.reference._operations import count_weights, counts, penalty_of, user_codes
from matfac.reference._random import (
    COLUMN_ORDER,
    HELD_OUT_NEGATIVES,
    NEGATIVES,
    USER_ORDER,
    random_order,
    random_words,
)
from matfac.reference._sgd import sgd_block_order
from matfac.reference._types import Array, Model, Penalty, Rows, weights_of


@dataclass(frozen=True)
class Pairs:
    """What pairwise ranking takes beside ratings and penalty; see ``settings.hpp``."""

    loss: str = "bpr"
    negatives: str = "uniform"
    max_trials: int = 64
    compare_users: bool = False
    nonnegative: bool = False
    learning_rate: float = 0.2
    seed: int = 0


def pairwise_fit(
    R: Rows,
    model: Model,
    penalty: Penalty,
    pairs: Pairs,
    n_iter: int,
    *,
    dtype: str = "float32",
) -> tuple[Model, list[float]]:
    """Return the model after ``n_iter`` epochs, and the objective of each as it is measured.

    For each rating (n, i) an item j that user n has not rated is drawn; with x = r̂_ni - r̂_nj and g
    the derivative of the loss by x, times the rating's weight::

        u_n := soft((u_n - η_n g (v_i - v_j)) / (1 + η_n λ w / s))
        v_i := soft((v_i - η_i g u_n) / (1 + η_i λ w / s))
        c_i := (c_i - ν_i g) / (1 + ν_i β w / s)
        v_j, c_j likewise with -g
        η = learning_rate / √(1 + s T / 50),   ν = learning_rate / √(1 + s T)

    s is the number of steps of a row in an epoch: of a user its ratings, of an item its ratings and
    nnz / M (its ratings again by popularity). T is the time in epochs: the middle of the current
    block in the first epoch, the middle of the epoch later. ``dtype`` is that of the native run, on
    which the order depends.
    """
    if pairs.compare_users:
        across = replace(pairs, compare_users=False)
        turned, objectives = pairwise_fit(
            transpose(R), _turned(model), penalty.turned(), across, n_iter, dtype=dtype
        )
        return _turned(turned), objectives
    b, c = model.user_biases, model.item_biases
    x = Model(
        model.user_factors.copy(),
        model.item_factors.copy(),
        None if b is None else np.zeros_like(b),
        None if c is None else c.copy(),
    )
    grid = PairwiseGrid(R, x.user_factors.shape[1], pairs.seed, dtype)
    objectives = []
    for epoch in range(n_iter):
        order = sgd_block_order(grid.n_rows, grid.n_columns, seed=pairs.seed, epoch=epoch)
        total = 0.0
        for i, (row, column) in enumerate(order):
            time = epoch + 0.5 if epoch else (i + 0.5) / len(order)
            step = Step(R, x, penalty, pairs, time)
            draws = Draws(R, grid, pairs, epoch, row, column)
            total += (_bpr_block if pairs.loss == "bpr" else _warp_block)(
                step, draws, weights_of(R)
            )
        objectives.append(total + penalty_of(R, x, penalty))
    return x, objectives


class PairwiseGrid:
    """Users and items cut into a grid of blocks: equally many users a row, items a column.

    The users are in a random order that stays; the columns are random sets of items, anew in each
    epoch.
    """

    def __init__(self, R: Rows, n_factors: int, seed: int, dtype: str) -> None:
        n_users, n_items = R.shape
        row_bytes = 64 * (-(-n_factors * np.dtype(dtype).itemsize // 64))
        for_threads = min(max(int(np.sqrt(len(R.values) / 512)), 1), 32)
        for_cache = min(n_items * row_bytes // (256 * 1024), 256)
        self.n_rows = max(min(for_threads, n_users), -(-n_users // 2**16), 1)
        wanted = min(max(for_threads, for_cache), n_items // 64)
        self.n_columns = max(wanted, -(-n_items // 2**16), 1)
        self.n_items, self.seed = n_items, seed
        self.users = random_order(n_users, seed, USER_ORDER, 0)
        self._orders: dict[int, Array] = {}

    def users_of(self, row: int) -> Array:
        """Return the codes of a grid row's users, in their order."""
        n = len(self.users)
        return self.users[n * row // self.n_rows : n * (row + 1) // self.n_rows]

    def items_of(self, column: int, epoch: int) -> Array:
        """Return the codes of a grid column's items, ascending."""
        if epoch not in self._orders:
            order = random_order(self.n_items, self.seed, COLUMN_ORDER, epoch)
            self._orders[epoch] = order
        first, end = (self.n_items * c // self.n_columns for c in (column, column + 1))
        return np.sort(self._orders[epoch][first:end])


class Draws:
    """The ratings of a block in their order, and what is drawn for each."""

    def __init__(
        self, R: Rows, grid: PairwiseGrid, pairs: Pairs, epoch: int, row: int, column: int
    ) -> None:
        self.R, self.users, self.items = R, grid.users_of(row), grid.items_of(column, epoch)
        self.popularity = counts(R)[1] if pairs.negatives == "popularity" else None
        self.seed = pairs.seed
        self.part = (epoch * grid.n_rows + row) * grid.n_columns + column
        self.each = 1 if pairs.loss == "bpr" else 4 * -(-pairs.max_trials // 4)

    def ratings(self) -> Iterator[tuple[int, int, list[int]]]:
        """Yield the user, the position in CSR order and the draws of each rating that has any."""
        k = 0
        for n in self.users:
            entries = np.arange(self.R.offsets[n], self.R.offsets[n + 1])
            entries = entries[np.isin(self.R.items[entries], self.items)]
            words = _words(self.seed, NEGATIVES, self.part, k * self.each, len(entries) * self.each)
            k += len(entries)
            unrated = np.setdiff1d(self.items, self.R.items[entries])
            drawn = draw(unrated, words, self.popularity)
            if drawn is not None:
                for entry, others in zip(entries, drawn.reshape(-1, self.each), strict=True):
                    yield int(n), int(entry), others.tolist()


def draw(candidates: Array, words: Array, popularity: Array | None) -> Array | None:
    """Return the candidate that each random word stands for, or None if there is none to draw."""
    share = np.ones(len(candidates), int) if popularity is None else popularity[candidates]
    sums = np.cumsum(share)
    if len(sums) == 0 or sums[-1] == 0:
        return None
    targets = [(int(word) * int(sums[-1])) >> 32 for word in words]
    return candidates[np.searchsorted(sums, targets, side="right")]


class Step:
    """The steps of a block: rates at a time, and the rows that they move."""

    def __init__(self, R: Rows, x: Model, penalty: Penalty, pairs: Pairs, time: float) -> None:
        self.R, self.x, self.pairs = R, x, pairs
        user_counts, item_counts = counts(R)
        by_popularity = pairs.negatives == "popularity"
        extra = item_counts if by_popularity else len(R.values) / R.shape[1]
        self.rates = []
        for side, (count, steps) in enumerate(
            [(user_counts, user_counts), (item_counts, item_counts + extra)]
        ):
            weight = count_weights(count, penalty.regularization_exponent) * (count > 0)
            per_step = weight / np.maximum(steps, 1e-300)
            factor, bias = penalty.of(side)
            eta = pairs.learning_rate / np.sqrt(1 + steps * time / 50)
            nu = pairs.learning_rate / np.sqrt(1 + steps * time)
            shrink, bias_shrink = 1 / (1 + eta * factor * per_step), 1 / (1 + nu * bias * per_step)
            threshold = eta * shrink * penalty.l1_of(side) * per_step
            self.rates.append((eta * shrink, shrink, threshold, nu * bias_shrink, bias_shrink))

    def difference(self, n: int, i: int, j: int) -> float:
        """Return x = r̂_ni - r̂_nj."""
        v, c = self.x.item_factors, self.x.item_biases
        return float(self.x.user_factors[n] @ (v[i] - v[j]) + (0 if c is None else c[i] - c[j]))

    def __call__(self, n: int, i: int, j: int, g: float) -> None:
        """Move the rows of the user and of both items."""
        u, (v, w) = self.x.user_factors[n].copy(), self.x.item_factors[[i, j]]
        self._move(0, n, u, -g * (v - w))
        self._move(1, i, v, -g * u)
        self._move(1, j, w, g * u)
        if self.x.item_biases is not None:
            _, _, _, nu, shrink = self.rates[1]
            for m, slope in ((i, g), (j, -g)):
                self.x.item_biases[m] = shrink[m] * self.x.item_biases[m] - nu[m] * slope

    def _move(self, side: int, code: int, row: Array, direction: Array) -> None:
        eta, shrink, threshold = (rate[code] for rate in self.rates[side][:3])
        moved = shrink * row + eta * direction
        above, below = np.maximum(moved - threshold, 0), np.minimum(moved + threshold, 0)
        rows = (self.x.user_factors, self.x.item_factors)[side]
        rows[code] = above if self.pairs.nonnegative else above + below


def _bpr_block(step: Step, draws: Draws, q: Array) -> float:
    """Take a step for each rating; 2048 at a time, of their four quarters in turn."""
    triples, total = list(draws.ratings()), 0.0
    for first in range(0, len(triples), 2048):
        portion = triples[first : first + 2048]
        whole = len(portion) // 4 * 4
        strips = [portion[s * whole // 4 + k] for k in range(whole // 4) for s in range(4)]
        for n, entry, (j,) in strips + portion[whole:]:
            i = int(step.R.items[entry])
            x = step.difference(n, i, j)
            total += q[entry] * np.logaddexp(0, -x)
            step(n, i, j, -q[entry] / (1 + np.exp(x)))
    return total


def _warp_block(step: Step, draws: Draws, q: Array) -> float:
    """Draw for each rating until x < 1, and take a step weighted by the rank that this implies."""
    total = 0.0
    for n, entry, others in draws.ratings():
        i, n_items = int(step.R.items[entry]), step.R.shape[1]
        for trials, j in enumerate(others[: step.pairs.max_trials], 1):
            x = step.difference(n, i, j)
            if x < 1:
                rank = (n_items - (step.R.offsets[n + 1] - step.R.offsets[n])) // trials
                weight = q[entry] * np.log1p(rank) / np.log1p(n_items)
                total += weight * (1 - x)
                step(n, i, j, -weight)
                break
    return total


def pairwise_held_out_loss(R: Rows, held_out: Rows, model: Model, pairs: Pairs) -> float:
    """Return the mean loss of held-out ratings, each beside an item drawn from what is left.

    That is what the user has rated neither there nor in ``R``; warp without its ranks.
    """
    if pairs.compare_users:
        R, held_out, model = transpose(R), transpose(held_out), _turned(model)
    popularity = counts(R)[1] if pairs.negatives == "popularity" else None
    q = weights_of(held_out)
    total = sum_of_weights = 0.0
    users, index = user_codes(held_out), np.arange(len(held_out.values))
    word = random_words(pairs.seed, HELD_OUT_NEGATIVES, index * 0, index)[0]
    for k, (n, i) in enumerate(zip(users, held_out.items, strict=True)):
        rated = [x.items[x.offsets[n] : x.offsets[n + 1]] for x in (R, held_out)]
        unrated = np.setdiff1d(np.arange(R.shape[1]), np.concatenate(rated))
        drawn = draw(unrated, word[k : k + 1], popularity)
        if drawn is None:
            continue
        v, c, j = model.item_factors, model.item_biases, drawn[0]
        x = model.user_factors[n] @ (v[i] - v[j]) + (0 if c is None else c[i] - c[j])
        total += q[k] * (np.logaddexp(0, -x) if pairs.loss == "bpr" else max(0.0, 1 - x))
        sum_of_weights += q[k]
    return total / sum_of_weights if sum_of_weights else float("nan")


def _words(seed: int, stream: int, part: int, first: int, n: int) -> Array:
    """Return numbers first, ..., first + n - 1 of a substream, of which a counter gives four."""
    groups = np.arange(first // 4, (first + n + 3) // 4)
    words = np.stack(random_words(seed, stream, np.full(len(groups), part), groups), axis=1)
    return words.ravel()[first - 4 * (first // 4) :][:n]


def _turned(x: Model) -> Model:
    return Model(x.item_factors, x.user_factors, x.item_biases, x.user_biases, x.global_mean)
