"""Realistic synthetic ratings in NumPy: skewed, biased, low-rank plus noise, on a half-star scale."""

from __future__ import annotations

import operator

import numpy as np

# The shape of MovieLens 20M, measured or fitted. Variances are in squared stars; together they give a
# standard deviation of about 1.05 stars, of which noise and rounding (0.78 or so) cannot be explained.
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
_MAX_ROUNDS = 50  # of rejection sampling, before the rows still short are completed exactly
_GUIDE_BITS = 18  # size of the table that speeds up drawing items


def synthetic_ratings(n_users, n_items, n_ratings, *, random_state=None):
    """Generate realistic ratings of items by users.

    Items have a Zipf-Mandelbrot popularity and users a shifted log-normal activity, shaped after MovieLens. Each
    user rates distinct items, drawn by popularity and, weakly, by taste. A rating is
    ``mean + user bias + item bias + tastes . traits + noise``, rounded to half stars from 0.5 to 5; tastes and
    traits have 32 dimensions with a decaying spectrum. Popular items are liked a little better. On data as dense as
    MovieLens 20M, a good model reaches a test RMSE near 0.80; always predicting the mean gives about 1.05.

    Time and memory are proportional to ``n_ratings``: the full matrix is never formed.

    Parameters
    ----------
    n_users, n_items : int
        Shape of the matrix, each at least 1.
    n_ratings : int
        Number of ratings, all of distinct pairs; from 0 to ``n_users * n_items``. Some items (and, when
        ``n_ratings < n_users``, some users) may end up with no rating.
    random_state : None, int, numpy.random.SeedSequence or numpy.random.Generator, default=None
        Seed. The same integer gives the same ratings.

    Returns
    -------
    users, items : ndarray of int32 of shape (n_ratings,)
        Row and column numbers, sorted by user, then by item.
    values : ndarray of float32 of shape (n_ratings,)
        Ratings: 0.5, 1, ..., 5.

    Raises
    ------
    ValueError
        If a size is out of range; in particular if ``n_ratings > n_users * n_items``.
    """
    n_users = _check_size("n_users", n_users, 1, 2**31 - 1)
    n_items = _check_size("n_items", n_items, 1, 2**31 - 1)
    n_ratings = _check_size("n_ratings", n_ratings, 0, None)
    if n_ratings > n_users * n_items:
        raise ValueError(
            f"n_ratings={n_ratings} distinct pairs do not fit into {n_users} users x {n_items} items = "
            f"{n_users * n_items} pairs; lower n_ratings or raise n_users or n_items"
        )
    rng = np.random.default_rng(random_state)

    spectrum = (1.0 + np.arange(_N_TASTES)) ** -0.5  # standard deviation of each dimension's product
    spectrum *= _TASTE_STD / np.sqrt(np.sum(spectrum**2))
    tastes = _normal(rng, (n_users, _N_TASTES)) * np.sqrt(spectrum).astype(np.float32)
    traits = _normal(rng, (n_items, _N_TASTES)) * np.sqrt(spectrum).astype(np.float32)

    popularity = _popularity(rng, n_items)
    counts = _activity(rng, n_users, n_items, n_ratings)
    lead = slice(0, _N_EXPOSURE_TASTES)
    lead_scale = np.float32(1.5 / np.sqrt(np.sum(spectrum[lead] ** 2)))
    keys = _distinct_pairs(
        rng, counts, popularity, np.ascontiguousarray(tastes[:, lead]) * lead_scale, np.ascontiguousarray(traits[:, lead])
    )
    users = np.repeat(np.arange(n_users, dtype=np.int32), counts)
    items = np.empty(n_ratings, np.int32)

    user_biases = _MEAN + _USER_BIAS_STD * _normal(rng, n_users)
    fame = np.log(popularity)
    fame = (fame - np.average(fame, weights=popularity)) / max(np.std(fame), 1e-12)
    item_biases = _ITEM_BIAS_STD * (
        _POPULARITY_AND_LIKING * fame.astype(np.float32)
        + np.float32(np.sqrt(1 - _POPULARITY_AND_LIKING**2)) * _normal(rng, n_items)
    )
    values = np.empty(n_ratings, np.float32)
    for start in range(0, n_ratings, _CHUNK):
        part = slice(start, start + _CHUNK)
        user = users[part]
        item = items[part]
        np.subtract(keys[part], user * np.int64(n_items), out=item, casting="unsafe")
        score = np.einsum("ij,ij->i", tastes[user], traits[item])
        score += user_biases[user]
        score += item_biases[item]
        score += np.float32(_NOISE_STD) * _normal(rng, len(user))
        values[part] = np.clip(np.rint(2 * score) / 2, 0.5, 5.0)
    return users, items, values


def _check_size(name, value, low, high):
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{name} must be an integer, got {value!r}") from None
    if number < low or (high is not None and number > high):
        limit = f"at least {low}" if number < low else f"at most {high}"
        raise ValueError(f"{name} must be {limit}, got {number}")
    return number


def _normal(rng, shape):
    return rng.standard_normal(shape, dtype=np.float32)


def _popularity(rng, n_items):
    """Zipf-Mandelbrot weights with sum 1, in random order. Large catalogues have a longer tail."""
    exponent = np.clip(1.0 + 0.45 * np.log2(n_items / 3000), 1.0, 2.4)
    weights = (np.arange(n_items) + 1 + 0.012 * n_items) ** -exponent
    return rng.permutation(weights / weights.sum())


def _activity(rng, n_users, n_items, n_ratings):
    """Numbers of ratings of the users: a fixed part plus a log-normal one, with sum n_ratings."""
    mean = n_ratings / n_users
    largest = min(n_items, int(np.ceil(max(_LARGEST_SHARE * n_items, 1.5 * mean))))
    fewest = min(_FEWEST_RATINGS, mean / 3)
    draws = rng.lognormal(0.0, _ACTIVITY_SIGMA, n_users)

    def wanted(scale):
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
    # Round at random so that the sum is exact: the remainders, laid end to end, are cut at whole numbers.
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


def _distinct_pairs(rng, counts, popularity, tastes, traits):
    """Draw counts[n] distinct items for each user n without replacement; return sorted keys n * n_items + m.

    An item's chance is its popularity times its exposure. Rejection sampling in rounds for most rows; rows that want a
    large part of all items, and those that are still short at the end, are drawn by an exponential race over all items.
    """
    n_items = len(popularity)
    draw = _Categorical(popularity)
    parts = []
    missing = np.where(6 * counts > n_items, 0, counts)
    for _ in range(_MAX_ROUNDS):
        wanting = np.flatnonzero(missing)
        if len(wanting) * n_items <= 2 * counts.sum():  # cheap enough for the exact way
            break
        proposals = _propose(rng, np.repeat(wanting, missing[wanting]), draw, tastes, traits)
        proposals.sort()
        fresh = np.ones(len(proposals), bool)
        np.not_equal(proposals[1:], proposals[:-1], out=fresh[1:])
        for part in parts:
            place = np.minimum(np.searchsorted(part, proposals), len(part) - 1)
            fresh &= part[place] != proposals
        accepted = proposals[fresh]
        if len(accepted):
            parts.append(accepted)
            while len(parts) > 1 and len(parts[-2]) < 8 * len(parts[-1]):  # few parts to look into
                parts[-2:] = [np.sort(np.concatenate(parts[-2:]))]
            missing -= np.bincount(accepted // n_items, minlength=len(counts))
    missing = np.where(6 * counts > n_items, counts, missing)
    keys = np.concatenate(parts) if parts else np.empty(0, np.int64)
    del parts
    keys.sort()
    if np.any(missing):
        keys = np.concatenate([keys, *_race(rng, missing, keys, popularity, tastes, traits)])
        keys.sort()
    return keys


class _Categorical:
    """Draws numbers 0, 1, ... with given probabilities: inverse distribution function behind a guide table."""

    def __init__(self, weights):
        self.cumulative = np.cumsum(weights)
        self.cumulative /= self.cumulative[-1]
        edges = np.arange((1 << _GUIDE_BITS) + 1) / (1 << _GUIDE_BITS)
        self.guide = self._search(edges)

    def _search(self, u):
        found = np.searchsorted(self.cumulative, u, side="right")
        return np.minimum(found, len(self.cumulative) - 1).astype(np.int32)

    def __call__(self, rng, size):
        u = rng.random(size)
        cell = (u * (1 << _GUIDE_BITS)).astype(np.int32)
        drawn = self.guide[cell]
        open_cells = np.flatnonzero(drawn != self.guide[cell + 1])
        drawn[open_cells] = self._search(u[open_cells])
        return drawn


def _exposure(liking):
    """How readily a user comes across an item, between 0.3 and 1, from 1.5 times the standardized liking."""
    return 0.3 + 0.7 / (1 + np.exp(-liking))


def _propose(rng, users, draw, tastes, traits):
    n_items = len(traits)
    kept = []
    for start in range(0, len(users), _CHUNK):
        user = users[start : start + _CHUNK]
        item = draw(rng, len(user))
        liking = np.einsum("ij,ij->i", tastes[user], traits[item])
        keep = rng.random(len(user), dtype=np.float32) < _exposure(liking)
        kept.append(user[keep] * np.int64(n_items) + item[keep])
    return np.concatenate(kept)


def _race(rng, missing, keys, popularity, tastes, traits):
    """Complete rows exactly: items arrive after exponential times of their rates, the first missing[n] win."""
    n_items = len(popularity)
    rows = np.flatnonzero(missing)
    for chunk in np.array_split(rows, max(1, len(rows) * n_items // (1 << 22))):
        rates = _exposure(tastes[chunk] @ traits.T) * popularity.astype(np.float32)
        arrival = rng.standard_exponential(rates.shape, dtype=np.float32) / rates
        first = np.searchsorted(keys, chunk * np.int64(n_items))
        last = np.searchsorted(keys, (chunk + 1) * np.int64(n_items))
        won = []
        for row, times, begin, end in zip(chunk.tolist(), arrival, first, last):
            times[keys[begin:end] - row * n_items] = np.inf
            n = missing[row]
            won.append(row * np.int64(n_items) + np.argpartition(times, n - 1)[:n])
        yield np.concatenate(won)
