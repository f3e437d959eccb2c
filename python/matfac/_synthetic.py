"""Realistic synthetic ratings: skewed, biased, low-rank plus noise, on a half-star scale.

`matfac.datasets.make_ratings` is the public face and describes the model. The full matrix is never
formed: time and memory are proportional to the number of ratings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

# The shape of MovieLens 20M, measured or fitted. Variances are in squared stars; together they give
# a standard deviation of about 1.05 stars, of which noise and rounding (0.78 or so) cannot be
# explained.
_MEAN = 3.5
_USER_BIAS_STD = 0.42
_ITEM_BIAS_STD = 0.45
_TASTE_STD = 0.55  # of the product of the latent factors
_NOISE_STD = 0.74
_N_TASTES = 32  # latent dimensions, with a decaying spectrum
_N_EXPOSURE_TASTES = 8  # the leading ones, which also influence what a user comes across
_POPULARITY_AND_LIKING = 0.4  # correlation of an item's log popularity with its bias
_ACTIVITY_SIGMA = 1.38  # of the log-normal part of a user's number of ratings
_FEWEST_RATINGS = 20  # a user's fixed part, when the data are that dense
_LARGEST_SHARE = 0.4  # of the items, that one user rates (unless the density demands more)

_CHUNK = 1 << 18  # pairs worked on at a time
_RACE_CHUNK = 1 << 22  # entries of dense rows worked on at a time
_MAX_ROUNDS = 50  # of rejection sampling, before the rows still short are completed exactly
_GUIDE_BITS = 18  # size of the table that speeds up drawing items

Floats: TypeAlias = NDArray[np.float64]
Floats32: TypeAlias = NDArray[np.float32]
Counts: TypeAlias = NDArray[np.int64]


def synthetic_ratings(
    n_users: int, n_items: int, n_ratings: int, rng: np.random.Generator
) -> tuple[Counts, NDArray[np.int32], Floats32]:
    """Generate ratings as compressed rows.

    Parameters
    ----------
    n_users, n_items, n_ratings : int
        Each at least 1 and ``n_ratings <= n_users * n_items``.
    rng : numpy.random.Generator
        The same state gives the same ratings.

    Returns
    -------
    offsets : ndarray, shape (n_users + 1,)
    items : ndarray, shape (n_ratings,)
        Ascending in each row.
    values : ndarray, shape (n_ratings,)
        0.5, 1, ..., 5.
    """
    # The standard deviation of each dimension's product of taste and trait.
    spectrum = (1.0 + np.arange(_N_TASTES)) ** -0.5
    spectrum *= _TASTE_STD / np.sqrt(np.sum(spectrum**2))
    tastes = _normal(rng, (n_users, _N_TASTES)) * np.sqrt(spectrum).astype(np.float32)
    traits = _normal(rng, (n_items, _N_TASTES)) * np.sqrt(spectrum).astype(np.float32)
    popularity = _popularity(rng, n_items)
    counts = _activity(rng, n_users, n_items, n_ratings)

    lead = slice(0, _N_EXPOSURE_TASTES)
    lead_scale = np.float32(1.5 / np.sqrt(np.sum(spectrum[lead] ** 2)))
    exposure = _Exposure(
        np.ascontiguousarray(tastes[:, lead]) * lead_scale, np.ascontiguousarray(traits[:, lead])
    )
    keys = _distinct_pairs(rng, counts, popularity, exposure)
    items, values = _rated(rng, keys, tastes, traits, popularity)
    offsets = np.zeros(n_users + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets, items, values


def _rated(
    rng: np.random.Generator, keys: Counts, tastes: Floats32, traits: Floats32, popularity: Floats
) -> tuple[NDArray[np.int32], Floats32]:
    """Return the items of the pairs ``user * n_items + item`` and their ratings."""
    n_items = len(traits)
    user_biases = _MEAN + _USER_BIAS_STD * _normal(rng, (len(tastes),))
    fame = np.log(popularity)
    fame = (fame - np.average(fame, weights=popularity)) / max(float(np.std(fame)), 1e-12)
    item_biases = _ITEM_BIAS_STD * (
        _POPULARITY_AND_LIKING * fame.astype(np.float32)
        + np.float32(np.sqrt(1 - _POPULARITY_AND_LIKING**2)) * _normal(rng, (n_items,))
    )
    items = np.empty(len(keys), np.int32)
    values = np.empty(len(keys), np.float32)
    for start in range(0, len(keys), _CHUNK):
        part = slice(start, start + _CHUNK)
        user = keys[part] // n_items
        item = items[part]
        np.subtract(keys[part], user * n_items, out=item, casting="unsafe")
        score = np.einsum("ij,ij->i", tastes[user], traits[item])
        score += user_biases[user]
        score += item_biases[item]
        score += np.float32(_NOISE_STD) * _normal(rng, (len(user),))
        values[part] = np.clip(np.rint(2 * score) / 2, 0.5, 5.0)
    return items, values


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats32:
    return rng.standard_normal(shape, dtype=np.float32)


def _popularity(rng: np.random.Generator, n_items: int) -> Floats:
    """Zipf-Mandelbrot weights with sum 1, in random order. Large catalogues have a longer tail."""
    exponent = np.clip(1.0 + 0.45 * np.log2(n_items / 3000), 1.0, 2.4)
    weights = (np.arange(n_items) + 1 + 0.012 * n_items) ** -exponent
    return rng.permutation(weights / weights.sum())


def _activity(rng: np.random.Generator, n_users: int, n_items: int, n_ratings: int) -> Counts:
    """Numbers of ratings of the users: a fixed part plus a log-normal one, with sum n_ratings."""
    mean = n_ratings / n_users
    largest = min(n_items, int(np.ceil(max(_LARGEST_SHARE * n_items, 1.5 * mean))))
    fewest = min(_FEWEST_RATINGS, mean / 3)
    draws = rng.lognormal(0.0, _ACTIVITY_SIGMA, n_users)

    def wanted(scale: float) -> Floats:
        return np.minimum(fewest + scale * draws, largest)

    low, high = 0.0, 1.0
    while wanted(high).sum() < n_ratings and high < 1e300:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        if wanted(middle).sum() < n_ratings:
            low = middle
        else:
            high = middle
    # Round at random so that the sum is exact: the remainders, laid end to end, are cut at whole
    # numbers.
    ends = np.floor(np.cumsum(wanted(high)) + rng.random()).astype(np.int64)
    counts = np.clip(np.diff(ends, prepend=0), 0, largest)
    short = n_ratings - int(counts.sum())  # a few, from rounding
    while short:
        step = 1 if short > 0 else -1
        able = np.flatnonzero(counts < n_items if step > 0 else counts > 0)
        chosen = rng.choice(able, min(abs(short), len(able)), replace=False)
        counts[chosen] += step
        short -= step * len(chosen)
    return counts


@dataclass(frozen=True)
class _Exposure:
    """How readily a user comes across an item, between 0.3 and 1, from 1.5 standardized liking."""

    tastes: Floats32  # (n_users, _N_EXPOSURE_TASTES), scaled
    traits: Floats32

    def of_pairs(self, users: NDArray[Any], items: NDArray[Any]) -> NDArray[Any]:
        return self._of(np.einsum("ij,ij->i", self.tastes[users], self.traits[items]))

    def of_rows(self, users: NDArray[Any]) -> NDArray[Any]:
        return self._of(self.tastes[users] @ self.traits.T)

    @staticmethod
    def _of(liking: NDArray[Any]) -> NDArray[Any]:
        exposure: NDArray[Any] = 0.3 + 0.7 / (1 + np.exp(-liking))
        return exposure


def _distinct_pairs(
    rng: np.random.Generator, counts: Counts, popularity: Floats, exposure: _Exposure
) -> Counts:
    """Draw counts[n] distinct items for each user n; return sorted keys n * n_items + m.

    An item's chance is its popularity times its exposure. Most rows are drawn by rejection, in
    rounds. Rows that want a large part of all items, and those that are still short at the end, are
    drawn by an exponential race over all items.
    """
    n_items = len(popularity)
    draw = _Categorical(popularity)
    wants_much = 6 * counts > n_items
    missing = np.where(wants_much, 0, counts)
    parts: list[Counts] = []
    for _ in range(_MAX_ROUNDS):
        wanting = np.flatnonzero(missing)
        if len(wanting) * n_items <= 2 * counts.sum():  # cheap enough for the exact way
            break
        proposals = _propose(rng, np.repeat(wanting, missing[wanting]), draw, exposure)
        accepted = _new_among(proposals, parts)
        if len(accepted):
            parts.append(accepted)
            while len(parts) > 1 and len(parts[-2]) < 8 * len(parts[-1]):  # few to look into
                parts[-2:] = [np.sort(np.concatenate(parts[-2:]))]
            missing -= np.bincount(accepted // n_items, minlength=len(counts))
    missing = np.where(wants_much, counts, missing)
    keys = np.concatenate(parts) if parts else np.empty(0, np.int64)
    del parts
    keys.sort()
    if np.any(missing):
        keys = np.concatenate([keys, *_race(rng, missing, keys, popularity, exposure)])
        keys.sort()
    return keys


def _new_among(proposals: Counts, parts: list[Counts]) -> Counts:
    """Return the proposals that are in none of the sorted parts, each once; sorts them in place."""
    proposals.sort()
    fresh = np.ones(len(proposals), np.bool_)
    np.not_equal(proposals[1:], proposals[:-1], out=fresh[1:])
    for part in parts:
        place = np.minimum(np.searchsorted(part, proposals), len(part) - 1)
        fresh &= part[place] != proposals
    return proposals[fresh]


class _Categorical:
    """Draws numbers 0, 1, ... with given chances: the inverse distribution behind a guide table."""

    def __init__(self, weights: Floats) -> None:
        self._cumulative = np.cumsum(weights)
        self._cumulative /= self._cumulative[-1]
        edges = np.arange((1 << _GUIDE_BITS) + 1) / (1 << _GUIDE_BITS)
        self._guide = self._search(edges)

    def _search(self, u: Floats) -> NDArray[np.int32]:
        found = np.searchsorted(self._cumulative, u, side="right")
        return np.minimum(found, len(self._cumulative) - 1).astype(np.int32)

    def __call__(self, rng: np.random.Generator, size: int) -> NDArray[np.int32]:
        u = rng.random(size)
        cell = (u * (1 << _GUIDE_BITS)).astype(np.int32)
        drawn = self._guide[cell]
        open_cells = np.flatnonzero(drawn != self._guide[cell + 1])
        drawn[open_cells] = self._search(u[open_cells])
        return drawn


def _propose(
    rng: np.random.Generator, users: Counts, draw: _Categorical, exposure: _Exposure
) -> Counts:
    """Draw an item for each entry of ``users``; return the keys of those that were come across."""
    n_items = len(exposure.traits)
    kept = []
    for start in range(0, len(users), _CHUNK):
        user = users[start : start + _CHUNK]
        item = draw(rng, len(user))
        keep = rng.random(len(user), dtype=np.float32) < exposure.of_pairs(user, item)
        kept.append(user[keep] * n_items + item[keep])
    return np.concatenate(kept)


def _race(
    rng: np.random.Generator,
    missing: Counts,
    keys: Counts,
    popularity: Floats,
    exposure: _Exposure,
) -> Iterator[Counts]:
    """Complete rows exactly: items arrive after exponential times of their rates, the first win."""
    n_items = len(popularity)
    rows = np.flatnonzero(missing)
    for chunk in np.array_split(rows, max(1, len(rows) * n_items // _RACE_CHUNK)):
        rates = exposure.of_rows(chunk) * popularity.astype(np.float32)
        arrival = rng.standard_exponential(rates.shape, dtype=np.float32) / rates
        first = np.searchsorted(keys, chunk * n_items)
        last = np.searchsorted(keys, (chunk + 1) * n_items)
        won = []
        for row, times, begin, end in zip(chunk.tolist(), arrival, first, last, strict=True):
            times[keys[begin:end] - row * n_items] = np.inf
            n = missing[row]
            won.append(row * n_items + np.argpartition(times, n - 1)[:n])
        yield np.concatenate(won)
