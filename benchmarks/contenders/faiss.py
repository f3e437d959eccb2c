from __future__ import annotations

from benchmarks.contenders._timing import timed
from benchmarks.registry import Measure, Work, contender


@contender("top-n", "faiss IndexFlatIP", "faiss")
def top_n(work: Work, n_factors: int, n: int, exclude_seen: bool) -> Measure:
    import faiss

    assert not exclude_seen, "an index of items knows no user's items"
    faiss.omp_set_num_threads(work.n_threads)
    users, items = work.data.fitted_factors(n_factors)
    index = faiss.IndexFlatIP(n_factors)
    index.add(items)
    return timed(lambda: index.search(users, n))
