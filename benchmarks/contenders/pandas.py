from __future__ import annotations

from benchmarks.contenders._timing import timed
from benchmarks.registry import Measure, Work, contender


@contender("prepare", "pandas + SciPy", "pandas", "scipy")
def prepare(work: Work, kind: str, order: str) -> Measure:
    import pandas as pd
    from scipy.sparse import coo_matrix

    users, items, values = work.data.raw_ids(kind, order)

    def factorize_and_compress():
        user_codes, user_ids = pd.factorize(users)
        item_codes, item_ids = pd.factorize(items)
        shape = (len(user_ids), len(item_ids))
        rows = coo_matrix((values, (user_codes, item_codes)), shape=shape).tocsr()
        rows.sort_indices()
        return rows

    return timed(factorize_and_compress)
