"""What is wrong with a text file of ratings: the slow look, after the fast one has failed."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from matfac._ids import MAX_ID_LENGTH, shorten
from matfac._sniffing import TextLayout, is_blank, is_number, split_line
from matfac._values import as_times

_DECIMAL_COMMA = re.compile(r"[-+]?[0-9]+,[0-9]+")


def find_fault(
    chunks: Iterable[list[str]], layout: TextLayout, dtype: np.dtype[Any], with_times: bool
) -> str | None:
    """Return a message about the first line that is at fault, or None if there is none.

    Parameters
    ----------
    chunks : iterable of lists of str
        All lines of the file, from the first.
    layout : TextLayout
    dtype : float32 or float64
        Ratings must be finite in it.
    with_times : bool
        Whether the time stamps must be right too.
    """
    number = 0
    for lines in chunks:
        for line in lines:
            number += 1
            if number < layout.first_data_line or is_blank(line, layout.separator):
                continue
            fault = _fault_of(split_line(line, layout.separator), layout, dtype, with_times)
            if fault:
                return f"line {number}: {fault}: {shorten(line)}; correct or remove the line"
    return None


def _fault_of(fields: list[str], layout: TextLayout, dtype: np.dtype[Any], with_times: bool) -> str:
    if len(fields) != layout.n_fields:
        few_or_many = "few" if len(fields) < layout.n_fields else "many"
        return f"too {few_or_many} columns ({len(fields)} where {layout.n_fields} were expected)"
    for role in ("user", "item"):
        field = fields[layout.roles[role]]
        if not field:
            return f"the {role} is missing"
        if len(field) > MAX_ID_LENGTH:
            return f"the {role} has {len(field):,} characters; an id has at most {MAX_ID_LENGTH:,}"
    for role in ("rating", "weight"):
        if role in layout.roles:
            fault = _fault_of_number(fields[layout.roles[role]], role, dtype)
            if fault:
                return fault
    if with_times and "timestamp" in layout.roles:
        return _fault_of_time(fields[layout.roles["timestamp"]])
    return ""


def _fault_of_number(field: str, role: str, dtype: np.dtype[Any]) -> str:
    if not field:
        return f"the {role} is missing"
    if not is_number(field):
        hint = " (decimals have a point)" if _DECIMAL_COMMA.fullmatch(field) else ""
        return f"the {role} {shorten(field)} is not a number{hint}"
    if not math.isfinite(float(field)):
        return f"the {role} {field!r} is not finite"
    if abs(float(field)) > float(np.finfo(dtype).max):
        return f"the {role} {field!r} is too large for {dtype} (dtype='float64' holds more)"
    if role == "weight" and float(field) < 0:
        return f"the weight {field!r} is negative (it is how much a rating counts)"
    return ""


def _fault_of_time(field: str) -> str:
    try:
        as_times([float(field) if is_number(field) else field])
    except (ValueError, TypeError):
        return f"the timestamp {shorten(field)} is neither a number nor an ISO 8601 date"
    return ""
