"""Random numbers by counter, as the core draws them."""

from __future__ import annotations

import numpy as np

from matfac.reference._types import Array

# What the streams of random numbers are for; those of the items follow those of the users.
USER_FACTORS, USER_ORDER, BLOCK_ORDER = 1, 3, 5
COLUMN_ORDER, NEGATIVES, HELD_OUT_NEGATIVES = 6, 7, 8


def random_words(seed: int, stream: int, part: Array, index: Array) -> list[Array]:
    """Return the four 32-bit words of each counter: Philox4x32-10 (Salmon et al., SC 2011)."""
    low, shift = np.uint64(2**32 - 1), np.uint64(32)
    part = part.astype(np.uint64)
    x = [index.astype(np.uint64), np.full_like(part, stream), part & low, part >> shift]
    key = [seed % 2**32, seed // 2**32]
    for _ in range(10):
        product0, product1 = np.uint64(0xD2511F53) * x[0], np.uint64(0xCD9E8D57) * x[2]
        x = [
            (product1 >> shift) ^ x[1] ^ np.uint64(key[0]),
            product1 & low,
            (product0 >> shift) ^ x[3] ^ np.uint64(key[1]),
            product0 & low,
        ]
        key = [(key[0] + 0x9E3779B9) % 2**32, (key[1] + 0xBB67AE85) % 2**32]
    return x


def random_order(n: int, seed: int, stream: int, part: int) -> Array:
    """Return a permutation of 0..n-1: the shuffle of Fisher and Yates with counted numbers."""
    index = np.arange(n, dtype=np.uint64)
    words = random_words(seed, stream, np.full_like(index, part), index)[0]
    order = np.arange(n)
    for i in range(n - 1, 0, -1):
        j = (int(words[i]) * (i + 1)) >> 32
        order[i], order[j] = order[j], order[i]
    return order
