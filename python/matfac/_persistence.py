"""Models to files and back; the format is docs/file-format.md, the work is the core's."""

from __future__ import annotations

import errno
import json
import os
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matfac import _core
from matfac._coerce import per_side
from matfac._ids import MAX_ID_LENGTH, IdArray
from matfac._unread import UNREAD

if TYPE_CHECKING:
    from matfac._estimator import MatrixFactorization
    from matfac._estimator_base import Estimator
    from matfac._implicit import ImplicitFactorization

#: The entry that names the class of the model; files of earlier versions are without.
_CLASS = "estimator"
#: Parameters that the format writes itself, and those that say how to run, not what the model is.
_NOT_KEPT = ("n_factors", "dtype", "init", "n_threads", "verbose")
#: What a fit leaves behind besides the parameters of the model.
_RESULTS = (
    "regularization_",
    "bias_regularization_",
    "huber_threshold_",
    "confidence_scale_",
    "classes_",
    "n_iter_",
    "best_iteration_",
    "stop_reason_",
    "history_",
)
#: How many strings are decoded at a time: what they need beside the result stays in the cache.
_CHUNK = 1 << 14
#: Entries whose null is a value.
_MAY_BE_NONE = ("random_state", "huber_threshold_", "confidence_scale_")
#: Entries that are text; all others are JSON.
_STRINGS = ("solver", "loss", "row_solver", "negatives", "stop_reason_")


def save(model: Estimator, path: str | os.PathLike[str], include_seen: bool) -> None:
    """Write a fitted model; see `Estimator.save`."""
    folder = os.path.dirname(os.fspath(path)) or os.curdir
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, "there is no such folder to save in", folder)
    entries = {k: v for k, v in model._fitted_params.items() if k not in _NOT_KEPT}
    entries = {k: v for k, v in entries.items() if v is not None or k not in _STRINGS}
    entries[_CLASS] = next(name for name, cls in _classes().items() if isinstance(model, cls))
    if not isinstance(entries["random_state"], int | np.integer | None):
        del entries["random_state"]  # a generator, which has moved on since
    entries |= {name: getattr(model, name) for name in _RESULTS if hasattr(model, name)}
    if "history_" in entries:  # without its clock: the same fit makes the same file, byte for byte
        entries["history_"] = {k: v for k, v in model.history_.items() if k != "seconds"}
    metadata = {name: _text(value) for name, value in entries.items()}
    _core.save_model(
        os.fspath(path),
        *model._parameters(),
        _packed(model.user_ids_),
        _packed(model.item_ids_),
        model._seen if include_seen else None,
        metadata,
    )


def load(
    path: str | os.PathLike[str], *, verify_checksum: bool = True
) -> MatrixFactorization | ImplicitFactorization:
    """Load a model that `MatrixFactorization.save`, `ImplicitFactorization.save` or C++ wrote.

    The file is mapped: the factors are read-only views of it, nothing is copied, and processes that
    load the same file share its memory. Nothing in it is executed. Replace such a file, as `save`
    does, and never write into it: the models that have mapped it would change, and a process that
    reads beyond the end of a file that was cut is killed.

    Parameters
    ----------
    path : str or path
    verify_checksum : bool
        Read the whole file once to detect alterations. Without it only the header is read, at any
        size of the file; string ids and the training pattern are read, and checked, when they are
        first needed, and factors are used as they lie.

    Returns
    -------
    MatrixFactorization or ImplicitFactorization
        Whichever was saved, fitted, with the parameters that it was saved with.

    Raises
    ------
    FileNotFoundError, OSError
        The file cannot be read.
    ModelFileError
        A ValueError: the file is truncated, altered, no model, or of a later format; or its
        metadata have, under the name of a setting or of what a fit leaves behind, something else.
        Without ``verify_checksum`` damaged ids or a damaged training pattern raise it later, from
        whatever asks for them first.
    """
    file = _core.ModelFile(os.fspath(path), verify_checksum)
    file.settings()  # refuses entries that no fit has written, as C++ does
    try:
        model = _assembled(path, file)
    except _core.ModelFileError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise _core.ModelFileError(
            f"{os.fspath(path)}: the entries of the file do not make a model: {error}; this is a "
            "matter of the program that wrote the file"
        ) from error
    if verify_checksum:
        for ids in (file.user_ids(), file.item_ids()):
            # As bytes: what may be too long is looked at now.
            if isinstance(ids, tuple) and np.diff(ids[0]).max(initial=0) > MAX_ID_LENGTH:
                _unpacked(path, ids)
    return model


def _assembled(
    path: str | os.PathLike[str], file: _core.ModelFile
) -> MatrixFactorization | ImplicitFactorization:
    """Return the model whose parts the core has checked; what may take time is read later."""
    from matfac._estimator import MatrixFactorization

    content, metadata = file.parameters(), file.metadata
    model = _empty_model(metadata)
    written = {
        name: _value(path, name, text)
        for name, text in metadata.items()
        if name in _RESULTS or (name in model.get_params() and name not in _NOT_KEPT)
    }
    # What was left open has the default of the class; a seed may be None.
    written = {k: v for k, v in written.items() if v is not None or k in _MAY_BE_NONE}
    results = {name: written.pop(name) for name in _RESULTS if name in written}
    model.set_params(
        n_factors=content["item_factors"].shape[1],
        dtype=content["item_factors"].dtype.name,
        **written,
    )
    for name in ("regularization", "bias_regularization"):
        if written.get(name) is not None:
            results.setdefault(f"{name}_", per_side(name, written[name]))
    for name in ("user_factors", "item_factors", "user_biases", "item_biases", "global_mean"):
        setattr(model, f"{name}_", content[name])
    setattr(
        model,
        UNREAD,
        {
            "user_ids_": lambda: _unpacked(path, file.user_ids()),
            "item_ids_": lambda: _unpacked(path, file.item_ids()),
            "_seen": file.seen,
        },
    )
    model._fitted_params = model.get_params()
    if isinstance(model, MatrixFactorization) and model._has_labels():
        results["classes_"] = np.array(results.get("classes_", (0, 1)), model.item_factors_.dtype)
        results["classes_"].flags.writeable = False
    else:
        results.pop("classes_", None)
    for name, value in results.items():
        setattr(model, name, value)
    return model


def _empty_model(metadata: dict[str, str]) -> MatrixFactorization | ImplicitFactorization:
    """Return a model of the class that the file names, or else of the one that has its loss."""
    from matfac._estimator_base import IMPLICIT_LOSSES

    classes = _classes()
    is_implicit = metadata.get("loss") in IMPLICIT_LOSSES
    return classes[metadata.get(_CLASS, list(classes)[is_implicit])]()


def _classes() -> dict[str, type[MatrixFactorization | ImplicitFactorization]]:
    """Return the classes of models that files hold, by name: for ratings, for interactions."""
    from matfac._estimator import MatrixFactorization
    from matfac._implicit import ImplicitFactorization

    return {
        "MatrixFactorization": MatrixFactorization,
        "ImplicitFactorization": ImplicitFactorization,
    }


def describe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a model file says of itself and its fit; errors as for `load`.

    Its origin and size, then what was written beside the parameters: the history and what was left
    open are left out.
    """
    content = _core.load_model(os.fspath(path), True)
    users, items = content["user_factors"], content["item_factors"]
    result = {
        "library_version": content["library_version"],
        "checksum": content["checksum"],
        "n_users": len(users),
        "n_items": len(items),
        "n_factors": items.shape[1],
        "dtype": items.dtype.name,
        "n_seen": None if content["seen"] is None else len(content["seen"][1]),
    }
    for name, text in content["metadata"].items():
        if name != "history_":
            result.setdefault(name, _shown(text))
    return {name: value for name, value in result.items() if value is not None}


def _shown(text: str) -> Any:
    """Return an entry of whatever program wrote it: as JSON if it is that, else as it is."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _text(value: object) -> str:
    """Return a string as it is, all else as JSON; NumPy's numbers and arrays count as Python's."""
    return value if isinstance(value, str) else json.dumps(value, default=lambda v: v.tolist())


def _value(path: str | os.PathLike[str], name: str, text: str) -> Any:
    if name in _STRINGS:
        return None if text == "null" else text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise _core.ModelFileError(
            f"{os.fspath(path)}: the metadata entry {name!r} should be JSON, but it is "
            f"{text[:60]!r}; this is a matter of the program that wrote the file"
        ) from None
    return tuple(value) if isinstance(value, list) else value


def _packed(
    ids: IdArray,
) -> NDArray[np.int64] | tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return ids as the core takes them: int64, or offsets and UTF-8 text."""
    if ids.dtype.kind == "i":
        return np.ascontiguousarray(ids, np.int64)
    encoded = [str(entry).encode() for entry in ids]
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(entry) for entry in encoded], out=offsets[1:])
    return offsets, np.frombuffer(b"".join(encoded), np.uint8)


def _unpacked(path: str | os.PathLike[str], ids: Any) -> IdArray:
    """Return ids as a model holds them: int64 as they lie in the file, or NumPy's strings."""
    if not isinstance(ids, tuple):
        integers: IdArray = ids
        return integers
    try:
        strings = _decoded(*ids)
    except ValueError as error:
        raise _core.ModelFileError(f"{os.fspath(path)}: the string ids: {error}") from error
    strings.flags.writeable = False
    return strings


def _decoded(offsets: NDArray[np.int64], text: NDArray[np.uint8]) -> NDArray[Any]:
    """Return UTF-8 as NumPy's strings of fixed width, all at once: there may be millions."""
    count = len(offsets) - 1
    starts = (text & 0xC0) != 0x80  # bytes at which a character begins
    if not starts[offsets[offsets < len(text)]].all():
        raise ValueError("an id begins within a character of UTF-8")
    if not (text & 0x80).any():  # ASCII
        characters, ends = text, offsets
    else:
        decoded = text.tobytes().decode()
        order = "le" if sys.byteorder == "little" else "be"
        characters = np.frombuffer(decoded.encode(f"utf-32-{order}"), np.uint32)
        ends = np.concatenate([[0], np.cumsum(starts)])[offsets]
    lengths = np.diff(ends)
    # NumPy gives every string the room of the longest.
    longest = int(lengths.max(initial=0))
    if longest > MAX_ID_LENGTH:
        raise ValueError(f"an id has {longest:,} characters, at most {MAX_ID_LENGTH:,} are read")
    width = max(longest, 1)
    table = np.zeros((count, width), np.uint32)
    for first in range(0, count, _CHUNK):
        rows = table[first : first + _CHUNK]
        own = characters[ends[first] : ends[first + len(rows)]]
        if len(own) == rows.size:
            rows.reshape(-1)[:] = own
        else:
            rows[np.arange(width) < lengths[first : first + _CHUNK, None]] = own
    return table.reshape(-1).view(f"=U{width}") if count else np.empty(0, "U1")
