"""Data frames of any make, through narwhals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from matfac._columns import Choice, Roles, choose_columns, describe_column
from matfac._values import TimeArray, as_times
from matfac._warnings import warn_user

if TYPE_CHECKING:
    import narwhals as nw


@dataclass
class FrameColumns:
    """The columns of a frame, one entry per rating."""

    users: Any
    items: Any
    values: NDArray[Any] | None
    times: TimeArray | None
    #: Role -> the column's name.
    names: dict[str, str | int]
    weights: NDArray[Any] | None = None


def columns_of(frame: Any, wanted: Mapping[str, Choice]) -> FrameColumns:
    """Find and take the columns of a pandas, polars, Arrow, ... frame; see `Ratings.from_frame`."""
    table = _table(frame)
    names = list(table.columns)
    roles = choose_columns(names, len(names), wanted)
    return take_columns(table, roles, must_have_times=wanted.get("timestamp") is not None)


def take_columns(frame: Any, roles: Roles, must_have_times: bool) -> FrameColumns:
    """Take the columns at known positions; times that cannot be read are left out unless needed."""
    table = _table(frame)
    names = list(table.columns)
    if len(table) == 0:
        raise ValueError("there are no ratings: the table has no rows; pass at least one")
    columns = {role: table.get_column(names[position]) for role, position in roles.items()}
    times = None
    if "timestamp" in columns:
        try:
            times = as_times(_to_numpy(columns["timestamp"], "timestamp"))
        except (ValueError, TypeError) as error:
            fault = f"column {columns['timestamp'].name!r} holds no times: {error}"
            if must_have_times:
                raise ValueError(fault) from None
            warn_user(f"{fault}. The ratings are without times", UserWarning)
            del columns["timestamp"]
    return FrameColumns(
        _ids_of(columns["user"], "user"),
        _ids_of(columns["item"], "item"),
        _to_numpy(columns["rating"], "rating") if "rating" in columns else None,
        times,
        {role: describe_column(roles[role], names) for role in columns},
        _to_numpy(columns["weight"], "weight") if "weight" in columns else None,
    )


def in_columns(message: str, names: Mapping[str, str | int]) -> str:
    """Return a message about an argument of `from_arrays` as one about the column that it was."""
    for what, role in (
        ("users", "user"),
        ("items", "item"),
        ("values", "rating"),
        ("weights", "weight"),
    ):
        if role in names and message.startswith(f"{what}: "):
            return f"column {names[role]!r}{message.removeprefix(what)}"
    return message


def _table(frame: Any) -> nw.DataFrame[Any]:
    import narwhals as nw

    try:
        return nw.from_native(frame, eager_only=True)
    except TypeError:
        lazy = hasattr(frame, "collect")
        remedy = (
            "collect it first (frame.collect())" if lazy else "pass a pandas, polars or Arrow frame"
        )
        raise TypeError(f"expected a data frame, got {type(frame).__name__}; {remedy}") from None
    except ValueError as error:  # narwhals' own class, of columns with one name
        text = " ".join(str(error).split())
        raise ValueError(f"the data frame cannot be read: {text}; rename its columns") from None


def _ids_of(column: nw.Series[Any], role: str) -> Any:
    """Return a column of ids; strings as the frame holds them, since NumPy would copy each."""
    import narwhals as nw

    if column.dtype in (nw.String, nw.Categorical, nw.Enum):
        _refuse_nulls(column, role)
        return column.to_native()
    return _to_numpy(column, role)


def _refuse_nulls(column: nw.Series[Any], role: str) -> None:
    nulls = column.is_null()
    if nulls.any():
        row = int(np.argmax(nulls.to_numpy()))
        raise ValueError(
            f"the {role} in row {row} (from 0) of column {column.name!r} is missing; drop such "
            "rows or fill them"
        )


def _to_numpy(column: nw.Series[Any], role: str) -> NDArray[Any]:
    import narwhals as nw

    _refuse_nulls(column, role)
    if column.dtype == nw.Date:
        column = column.cast(nw.Datetime("us"))
    elif column.dtype == nw.Datetime and getattr(column.dtype, "time_zone", None) is not None:
        column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return np.asarray(column.to_numpy())
