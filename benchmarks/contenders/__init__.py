"""A file a library; each function registers itself as a way to do a task.

Tasks, their parameters and what a repetition's "seconds" are:

sgd (n_factors)             one epoch over the training ratings
curve (n_factors, max_iter) a whole fit from triplets of codes; "curve": (seconds, test RMSE) after
                            each iteration, evaluations left out, preparation included
gradients (n_factors)       the residuals and both gradients
als (n_factors)             one sweep: both sides
implicit-als (n_factors)    one exact sweep over all pairs, the ratings taken as choices
objective-curve (n_factors, max_iter)   the same with any solver of rows; "curve": (seconds,
                            objective) after each sweep
bpr (n_factors)             one epoch: as many samples as there are training ratings
top-n (n_factors, n, exclude_seen)   the n best items for every user
evaluate (n_factors, n)     NDCG@n of the held-out ratings, over all users
prepare (kind, order)       from arrays of raw ids to rows of codes
sgemm (size), copy (megabytes)   what the machine can do
"""

from benchmarks.contenders import (  # noqa: F401  (they register themselves)
    cmfrec,
    faiss,
    implicit,
    libmf,
    numpy,
    ours,
    pandas,
    scipy,
    surprise,
    torch,
)
