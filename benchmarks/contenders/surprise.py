from __future__ import annotations

import time
from typing import Any

from benchmarks.registry import Measure, Work, contender

#: Its ratings are Python objects, one tuple a rating and side, so that all of them would not fit;
#: the time of an epoch is taken from the first ones and is proportional to their number.
MOST_RATINGS = 1_000_000


@contender("sgd", "Surprise SVD", "surprise")
def sgd(work: Work, n_factors: int) -> Measure:
    from surprise import SVD, Trainset

    users, items, values = (a[:MOST_RATINGS].tolist() for a in work.data.triplets())
    by_user: dict[int, list[tuple[int, float]]] = {}
    by_item: dict[int, list[tuple[int, float]]] = {}
    item_numbers: dict[int, int] = {}
    for user, item, value in zip(users, items, values, strict=True):
        number = item_numbers.setdefault(item, len(item_numbers))
        by_user.setdefault(user, []).append((number, value))
        by_item.setdefault(number, []).append((user, value))
    n_users = users[-1] + 1
    train = Trainset(by_user, by_item, n_users, len(item_numbers), len(values), (0.5, 5), {}, {})
    train.global_mean  # computed at its first use  # noqa: B018
    enlarged = work.data.shape.n_train / len(values)

    def fit(n_epochs: int) -> float:
        model = SVD(n_factors=n_factors, n_epochs=n_epochs, random_state=0)
        start = time.perf_counter()
        model.fit(train)
        return time.perf_counter() - start

    def measure() -> dict[str, Any]:
        once = fit(1)
        return {"seconds": (fit(3) - once) / 2 * enlarged}

    return measure
