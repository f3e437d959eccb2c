"""The ratios that are wanted: the aim and the least, ours against the peer."""

from __future__ import annotations

from typing import NamedTuple


class Target(NamedTuple):
    """Ratios of the peer's time to ours; above 1 we are faster."""

    aim: float
    least: float


SGD = Target(5, 2.5)
TIME_TO_RMSE_BY_SGD = Target(5, 2.5)
TIME_TO_RMSE_BY_ANY = Target(8, 4)
GRADIENTS = Target(30, 15)
ALS_AGAINST_CHOLESKY = Target(15, 8)
ALS_AGAINST_CG = Target(3, 1.8)
ALS_AGAINST_SGEMM = Target(1.10, 0.70)
TOP_N_UNSEEN = Target(3, 2)
TOP_N_ALL = Target(1.5, 1.1)
IMPLICIT_ALS = Target(12, 6)
IMPLICIT_ALS_TO_OBJECTIVE = Target(3, 1.8)
BPR = Target(10, 5)
EVALUATION = Target(3, 1.8)
PREPARE = Target(3, 1.5)
TWO_THREADS = Target(1.9, 1.7)

#: Of a ratio to a peer that still has to hold when a lower instruction set is forced.
LEAST_WHEN_FORCED = 0.6
#: Bytes a rating that an SGD fit may take beyond the caller's arrays, the factors and their rates.
SGD_BYTES_A_RATING = 16
