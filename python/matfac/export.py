"""Models for other programs: NumPy, Arrow and Parquet, faiss, hnswlib, ONNX.

What they take is the inner product of two vectors. With biases the vector of an item is (v_m, c_m)
and that of a user (u_n, 1), so that the product ranks the items as `recommend` does; the estimate
is the product + μ + b_n. Rows are codes: row i of an export is ``user_ids_[i]`` or
``item_ids_[i]`` of the model.

The packages are imported when they are used: ``pip install 'matfac[export]'``.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from matfac._ids import IdArray
from matfac._model import FactorModel

__all__ = [
    "item_vectors",
    "query_vectors",
    "to_arrow",
    "to_faiss",
    "to_hnswlib",
    "to_numpy",
    "to_onnx",
    "write",
]

Side: TypeAlias = Literal["users", "items"]

#: What a message of ONNX can hold; beyond that its parts would have to be files of their own.
_MAX_ONNX_BYTES = 2**31 - 2**20
_ONNX_OPSET, _ONNX_IR_VERSION = 13, 8


def item_vectors(model: FactorModel) -> NDArray[Any]:
    """Return what an index holds: the items' factors and, with biases, these as a last column.

    Returns
    -------
    ndarray, shape (M, F) or (M, F + 1), of the model's dtype
        A copy.
    """
    model._require_fitted()
    return _with_column(model.item_factors_, model.item_biases_)


def query_vectors(model: FactorModel, users: object | None = None) -> NDArray[Any]:
    """Return what an index is asked with: the users' factors and, with biases, a column of ones.

    Parameters
    ----------
    users : raw ids, a single raw id, or None
        None: all users of the training. An unknown user gets zeros, and 1 for the biases: what
        suits everybody. For new users append the column of ones to the factors of `fold_in`.

    Returns
    -------
    ndarray, shape (n_queries, F) or (n_queries, F + 1), of the model's dtype
        A copy. A single id gives one row.
    """
    model._require_fitted()
    factors = model.user_factors_
    if users is not None:
        codes, _ = model._lookup(model.user_ids_, users, "users")
        model._warn_unknown(codes, users)
        factors = np.zeros((len(codes), factors.shape[1]), factors.dtype)
        factors[codes >= 0] = model.user_factors_[codes[codes >= 0]]
    has_biases = model.item_biases_ is not None
    return _with_column(factors, np.ones(len(factors), factors.dtype) if has_biases else None)


def to_numpy(model: FactorModel) -> dict[str, NDArray[Any]]:
    """Return the model as named arrays, for `numpy.savez`: nothing is copied, none is an object.

    Returns
    -------
    dict
        ``user_ids``, ``item_ids``, ``user_factors``, ``item_factors``, ``global_mean`` and, with
        biases, ``user_biases`` and ``item_biases``.
    """
    model._require_fitted()
    arrays = {
        "user_ids": model.user_ids_,
        "item_ids": model.item_ids_,
        "user_factors": model.user_factors_,
        "item_factors": model.item_factors_,
        "global_mean": np.float64(model.global_mean_),
    }
    if model.user_biases_ is not None and model.item_biases_ is not None:
        arrays |= {"user_biases": model.user_biases_, "item_biases": model.item_biases_}
    return {name: np.asarray(array) for name, array in arrays.items()}


def to_arrow(model: FactorModel, side: Side = "items") -> Any:
    """Return the rows of one side as a `pyarrow.Table`: embeddings with their ids.

    Parameters
    ----------
    side : {"items", "users"}

    Returns
    -------
    pyarrow.Table
        Columns ``id`` (int64 or string), ``factors`` (lists of F floats) and, with biases,
        ``bias``; the mean μ is ``global_mean`` in the metadata of the schema. The numbers are not
        copied.
    """
    model._require_fitted()
    if side not in ("items", "users"):
        raise ValueError(f"side={side!r}: expected 'items' or 'users'")
    pa = _optional("pyarrow")
    is_items = side == "items"
    factors = model.item_factors_ if is_items else model.user_factors_
    biases = model.item_biases_ if is_items else model.user_biases_
    numbers = pa.array(factors.reshape(-1))
    columns = {
        "id": pa.array(model.item_ids_ if is_items else model.user_ids_),
        "factors": pa.FixedSizeListArray.from_arrays(numbers, factors.shape[1]),
    }
    if biases is not None:
        columns["bias"] = pa.array(biases)
    metadata = {"global_mean": float(model.global_mean_).hex()}
    return pa.table(columns).replace_schema_metadata(metadata)


def to_faiss(model: FactorModel) -> Any:
    """Return a `faiss.IndexFlatIP` of the items: exact search by inner product.

    ``index.search(query_vectors(model, users), n)`` gives the products and the codes of the items
    that ``model.recommend(users, n, exclude_seen=False)`` gives. Always float32, as faiss is.
    """
    vectors = item_vectors(model)
    faiss = _optional("faiss", "faiss-cpu")
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors, np.float32))
    return index


def to_hnswlib(
    model: FactorModel, *, n_links: int = 16, build_effort: int = 200, random_state: int = 0
) -> Any:
    """Return a `hnswlib.Index` of the items: approximate search by inner product.

    Its labels are the codes of the items, its distances 1 minus the product. Always float32.

    Parameters
    ----------
    n_links, build_effort : int
        Links of a node and candidates when one is inserted: hnswlib's ``M`` and
        ``ef_construction``. More find better and take longer. Call ``index.set_ef(n)``, n above the
        number of items asked for, before a search.
    random_state : int
        Seed of the levels; built on one thread, the same model makes the same index.
    """
    vectors = item_vectors(model)
    hnswlib = _optional("hnswlib")
    index = hnswlib.Index(space="ip", dim=vectors.shape[1])
    index.init_index(
        max_elements=len(vectors),
        M=n_links,
        ef_construction=build_effort,
        random_seed=random_state,
    )
    codes = np.arange(len(vectors))
    index.add_items(np.ascontiguousarray(vectors, np.float32), codes, num_threads=1)
    return index


def to_onnx(model: FactorModel) -> Any:
    """Return the estimate as an `onnx.ModelProto`: codes of users and items in, scores out.

    Inputs ``users`` and ``items`` are int64 codes of shape (n,), which must be known (ONNX counts
    negative ones from the end); output ``scores``, shape (n,), is μ + b_n + c_m + u_n · v_m in the
    model's dtype, equal to ``predict`` within rounding for the losses whose estimates it is.

    Raises
    ------
    ValueError
        The parameters exceed 2 GB, the limit of ONNX's format.
    """
    model._require_fitted()
    onnx = _optional("onnx")
    arrays = to_numpy(model)
    dtype = model.item_factors_.dtype
    names = [name for name in arrays if name.endswith(("factors", "biases"))]
    n_bytes = sum(arrays[name].nbytes for name in names)
    if n_bytes > _MAX_ONNX_BYTES:
        raise ValueError(
            f"the parameters have {n_bytes:,} bytes, and a message of ONNX holds less than 2 GB; "
            "export to NumPy or Parquet instead, or fit with fewer factors or float32"
        )
    node, tensor = onnx.helper.make_node, onnx.numpy_helper.from_array
    nodes = []
    for name in names:
        codes = "users" if name.startswith("user") else "items"
        nodes.append(node("Gather", [name, codes], [f"rows_of_{name}"], axis=0))
    nodes += [
        node("Mul", ["rows_of_user_factors", "rows_of_item_factors"], ["products"]),
        node("ReduceSum", ["products", "axis"], ["dots"], keepdims=0),
    ]
    terms = ["mean", *(f"rows_of_{name}" for name in names if name.endswith("biases"))]
    total = "dots"
    for i, term in enumerate(terms):
        result = "scores" if i == len(terms) - 1 else f"sum_{i}"
        nodes.append(node("Add", [total, term], [result]))
        total = result
    value, kind = onnx.helper.make_tensor_value_info, onnx.TensorProto
    float_kind = kind.DOUBLE if dtype == np.float64 else kind.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "matfac",
        [value("users", kind.INT64, ["n"]), value("items", kind.INT64, ["n"])],
        [value("scores", float_kind, ["n"])],
        initializer=[
            *(tensor(np.ascontiguousarray(arrays[name]), name) for name in names),
            tensor(np.array(model.global_mean_, dtype), "mean"),
            tensor(np.array([1], np.int64), "axis"),
        ],
    )
    proto = onnx.helper.make_model(
        graph,
        opset_imports=[onnx.helper.make_opsetid("", _ONNX_OPSET)],
        producer_name="matfac",
        ir_version=_ONNX_IR_VERSION,
    )
    onnx.checker.check_model(proto)
    return proto


def write(
    model: FactorModel, path: str | os.PathLike[str], format: str | None = None
) -> list[Path]:
    """Write an export; its files appear only once all of them are complete.

    Parameters
    ----------
    path : str or path
        For ``"parquet"`` NAME.parquet stands for two files, NAME.users.parquet and
        NAME.items.parquet. The indexes and graphs know codes only: beside them PATH.npz holds
        ``user_ids`` and ``item_ids`` and, for the indexes, ``queries`` (`query_vectors`).
    format : {"npz", "parquet", "faiss", "hnswlib", "onnx"}, optional
        None: what the suffix of the path says.

    Returns
    -------
    list of Path
        What was written.
    """
    paths, writer = _resolved(path, format)
    with _complete(paths) as temporary:
        writer(model, *temporary)
    return paths


# ---- inside --------------------------------------------------------------------------------------

_Writer = Callable[..., None]


def _resolved(
    path: str | os.PathLike[str], format: str | None = None
) -> tuple[list[Path], _Writer]:
    """Return the files that an export consists of, and what writes them."""
    path = Path(os.fsdecode(path))
    name = format or {"hnsw": "hnswlib"}.get(path.suffix[1:], path.suffix[1:])
    if name not in _WRITERS:
        known = ", ".join(map(repr, _WRITERS))
        found = f"format={format!r}" if format else f"{path}: the suffix names no format"
        raise ValueError(f"{found}; expected one of {known}")
    if name == "npz":
        paths = [path]
    elif name == "parquet":
        paths = [path.with_name(f"{path.stem}.{side}.parquet") for side in _SIDES]
    else:
        paths = [path, path.with_name(path.name + ".npz")]
    return paths, _WRITERS[name]


_SIDES: tuple[Side, ...] = ("users", "items")


def _with_column(factors: NDArray[Any], column: NDArray[Any] | None) -> NDArray[Any]:
    return factors.copy() if column is None else np.column_stack([factors, column])


def _optional(module: str, package: str | None = None) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f"this export needs {package or module}; install it with: pip install 'matfac[export]'"
        ) from error


@contextmanager
def _complete(paths: list[Path]) -> Iterator[list[str]]:
    """Give temporary names in the same folder; what is there at the end takes the paths' places.

    All at the end: an index beside the ids of an earlier one would answer with wrong ids.
    """
    with tempfile.TemporaryDirectory(prefix=".matfac-", dir=paths[0].parent) as folder:
        temporary = [Path(folder) / str(i) for i in range(len(paths))]
        yield [str(file) for file in temporary]
        for file in temporary:
            with file.open("rb+") as written:
                os.fsync(written.fileno())
        for file, path in zip(temporary, paths, strict=True):
            file.replace(path)


def _save_arrays(path: str, **arrays: IdArray | NDArray[Any]) -> None:
    with Path(path).open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def _save_companion(model: FactorModel, path: str, **more: NDArray[Any]) -> None:
    _save_arrays(path, user_ids=model.user_ids_, item_ids=model.item_ids_, **more)


def _write_npz(model: FactorModel, path: str) -> None:
    _save_arrays(path, **to_numpy(model))


def _write_parquet(model: FactorModel, *paths: str) -> None:
    _optional("pyarrow")
    parquet = import_module("pyarrow.parquet")
    for side, path in zip(_SIDES, paths, strict=True):
        parquet.write_table(to_arrow(model, side), path)


def _write_faiss(model: FactorModel, path: str, beside: str) -> None:
    _optional("faiss", "faiss-cpu").write_index(to_faiss(model), path)
    _save_companion(model, beside, queries=query_vectors(model).astype(np.float32))


def _write_hnswlib(model: FactorModel, path: str, beside: str) -> None:
    to_hnswlib(model).save_index(path)
    _save_companion(model, beside, queries=query_vectors(model).astype(np.float32))


def _write_onnx(model: FactorModel, path: str, beside: str) -> None:
    Path(path).write_bytes(to_onnx(model).SerializeToString())
    _save_companion(model, beside)


_WRITERS: dict[str, _Writer] = {
    "npz": _write_npz,
    "parquet": _write_parquet,
    "faiss": _write_faiss,
    "hnswlib": _write_hnswlib,
    "onnx": _write_onnx,
}
#: The formats of `write`.
FORMATS = tuple(_WRITERS)
