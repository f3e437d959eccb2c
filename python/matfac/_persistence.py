"""Models to files and back; the format is docs/file-format.md, the work is the core's."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matfac import _core
from matfac._ids import IdArray

if TYPE_CHECKING:
    from matfac._estimator import MatrixFactorization

#: Parameters that the format writes itself, and those that say how to run, not what the model is.
_NOT_KEPT = ("n_factors", "dtype", "init", "n_threads", "random_state", "verbose")
#: What a fit leaves behind besides the parameters of the model.
_RESULTS = (
    "regularization_",
    "bias_regularization_",
    "n_iter_",
    "best_iteration_",
    "stop_reason_",
    "history_",
)


def save(model: MatrixFactorization, path: str | os.PathLike[str], include_seen: bool) -> None:
    """Write a fitted model; see `MatrixFactorization.save`."""
    metadata = {
        name: _json(value)
        for name, value in model.get_params().items()
        if name not in _NOT_KEPT
    }
    metadata |= {name.rstrip("_"): _json(getattr(model, name)) for name in _RESULTS}
    _core.save_model(
        os.fspath(path),
        *model._parameters(),
        _packed(model.user_ids_),
        _packed(model.item_ids_),
        model._seen if include_seen else None,
        metadata,
    )


def load(path: str | os.PathLike[str], *, verify_checksum: bool = True) -> MatrixFactorization:
    """Load a model that `MatrixFactorization.save` or the C++ library wrote.

    The file is mapped: the factors are read-only views of it, nothing is copied, and processes that
    load the same file share its memory. Nothing in it is executed.

    Parameters
    ----------
    path : str or path
    verify_checksum : bool
        Read the whole file once to detect alterations. Without it opening takes the same short time
        at any size.

    Returns
    -------
    MatrixFactorization
        Fitted, with the parameters that it was saved with.

    Raises
    ------
    FileNotFoundError, OSError
        The file cannot be read.
    ModelFileError
        A ValueError: the file is truncated, altered, no model, or of a later format.
    """
    from matfac._estimator import MatrixFactorization

    content = _core.load_model(os.fspath(path), verify_checksum)
    metadata = content["metadata"]
    model = MatrixFactorization()
    known = model.get_params()
    params = {
        name: _parameter(path, name, metadata[name])
        for name in known
        if name in metadata and name not in _NOT_KEPT
    }
    model.set_params(
        n_factors=content["item_factors"].shape[1],
        dtype=content["item_factors"].dtype.name,
        **params,
    )
    for name in ("user_factors", "item_factors", "user_biases", "item_biases", "global_mean"):
        setattr(model, f"{name}_", content[name])
    model.user_ids_ = _unpacked(content["user_ids"])
    model.item_ids_ = _unpacked(content["item_ids"])
    model._seen = content["seen"]
    for name in _RESULTS:
        if name.rstrip("_") in metadata:
            setattr(model, name, _parameter(path, name, metadata[name.rstrip("_")]))
    return model


def _json(value: object) -> str:
    """Return a value as JSON; NumPy's numbers count as Python's."""
    return json.dumps(value, default=lambda number: number.item())


def _parameter(path: str | os.PathLike[str], name: str, text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        raise _core.ModelFileError(
            f"{os.fspath(path)}: metadata entry {name!r} is not JSON: {text[:60]!r}"
        ) from None
    return tuple(value) if isinstance(value, list) else value


def _packed(ids: IdArray) -> Any:
    """Return ids as the core takes them: int64, or offsets and UTF-8 text."""
    if ids.dtype.kind == "i":
        return np.ascontiguousarray(ids, np.int64)
    encoded = [str(entry).encode() for entry in ids]
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(entry) for entry in encoded], out=offsets[1:])
    return offsets, np.frombuffer(b"".join(encoded), np.uint8)


def _unpacked(ids: Any) -> IdArray:
    if not isinstance(ids, tuple):
        return ids
    offsets, text = ids
    data = text.tobytes()
    bounds = offsets.tolist()
    strings: NDArray[Any] = np.array(
        [data[bounds[i] : bounds[i + 1]].decode() for i in range(len(bounds) - 1)], dtype=np.str_
    )
    return strings
