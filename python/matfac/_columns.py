"""Which column of a table holds the users, the items, the ratings and the times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

#: A column by name or by position from 0; None: guess; False: there is none.
Choice: TypeAlias = "str | int | Literal[False] | None"
#: The positions of the columns, by role. "rating", "timestamp" and "weight" may be absent.
Roles: TypeAlias = "dict[str, int]"

ROLES = ("user", "item", "rating", "timestamp")
#: Those that are never guessed: a column called "weight" mostly holds the ratings themselves.
_STATED_ROLES = ("weight",)

_PEOPLE = "user customer reviewer member visitor viewer listener reader player person profile"
_THINGS = (
    "item movie film show series video anime artist album track song book article news product "
    "game recipe restaurant business hotel place joke page"
)
_KNOWN_NAMES = {
    "user": {"uid", "username", *(w + end for w in _PEOPLE.split() for end in ("", "s", "id"))},
    "item": {
        "iid",
        "asin",
        "isbn",
        "sku",
        *(w + end for w in _THINGS.split() for end in ("", "id")),
    },
    "rating": {
        *("rating", "ratings", "value", "score", "weight", "stars", "overall", "preference"),
        *("count", "plays", "playcount", "listencount"),
    },
    "timestamp": {"timestamp", "timestamps", "time", "date", "datetime", "ts", "unixreviewtime"},
}


#: What programs write above the numbers of rows, which nobody wants for users.
_ROW_NUMBERS = {"", "index", "unnamed0", "level0", "indexlevel0", "rownames"}
#: Said where a table of pairs has no ratings.
WITHOUT_RATINGS = "rating=False if each row says only who has chosen what"


def choose_columns(
    names: Sequence[object] | None, n_columns: int, wanted: Mapping[str, Choice]
) -> Roles:
    """Return the position of each role's column.

    Explicit choices come first, then names in any spelling. What is still missing is taken by
    position when there are exactly as many columns as roles (with or without the timestamp) and the
    order user, item, rating, timestamp does not contradict what is known; a column of row numbers
    is never taken so.

    Parameters
    ----------
    names : sequence or None
        The columns' names; None when they have none.
    n_columns : int
    wanted : mapping
        The caller's choice for each of `ROLES`, and for the weight.

    Raises
    ------
    ValueError
        A column that does not exist, two roles in one column, no or several candidates for a role.
        The message lists the columns.
    """
    roles = _explicit(names, n_columns, wanted)
    open_roles = [role for role in ROLES if wanted.get(role) is None]
    if names is not None:
        for role in open_roles:
            found = _by_name(role, names, set(roles.values()))
            if found is not None:
                roles[role] = found
    required = [role for role in ("user", "item", "rating") if wanted.get(role) is not False]
    missing = [role for role in required if role not in roles]
    if missing:
        _fill_by_position(roles, missing, required, names, n_columns, wanted)
    return roles


def recognises(names: Sequence[object]) -> bool:
    """Whether the names of users and items are among the known ones."""
    return all(_by_name(role, names, set()) is not None for role in ("user", "item"))


def describe_column(position: int, names: Sequence[object] | None) -> str | int:
    """Return what a person calls a column: its name, or its position where there are no names."""
    return position if names is None else str(names[position])


def _explicit(
    names: Sequence[object] | None, n_columns: int, wanted: Mapping[str, Choice]
) -> Roles:
    roles: Roles = {}
    for role in (*ROLES, *_STATED_ROLES):
        choice = wanted.get(role)
        if choice is None or (choice is False and role not in ("user", "item")):
            continue
        if isinstance(choice, bool) or not isinstance(choice, str | int):
            raise TypeError(f"{role}={choice!r}: expected the name or the position of a column")
        position = _position_of(role, choice, names, n_columns)
        for other, taken in roles.items():
            if taken == position:
                raise ValueError(
                    f"{role}={choice!r} is the column of {other} already; choose another"
                )
        roles[role] = position
    return roles


def _position_of(
    role: str, choice: str | int, names: Sequence[object] | None, n_columns: int
) -> int:
    places = [] if names is None else [at for at, name in enumerate(names) if name == choice]
    if len(places) > 1:
        raise ValueError(
            f"{role}={choice!r}: several columns have this name. {_list_of(names, n_columns)}"
        )
    if places:
        return places[0]
    if isinstance(choice, str):
        raise ValueError(
            f"{role}={choice!r}: there is no such column. {_list_of(names, n_columns)}"
        )
    if not 0 <= choice < n_columns:
        raise ValueError(
            f"{role}={choice}: positions are 0 .. {n_columns - 1}. {_list_of(names, n_columns)}"
        )
    return choice


def _by_name(role: str, names: Sequence[object], taken: set[int]) -> int | None:
    known = _KNOWN_NAMES[role]
    found = [at for at, name in enumerate(names) if at not in taken and _plain(name) in known]
    if len(found) > 1:
        candidates = " and ".join(repr(str(names[at])) for at in found)
        leave_out = f" ({role}=False for none)" if role in ("rating", "timestamp") else ""
        raise ValueError(
            f"several columns could be the {role}: {candidates}; choose one with "
            f"{role}=...{leave_out}. {_list_of(names, len(names))}"
        )
    return found[0] if found else None


def _fill_by_position(
    roles: Roles,
    missing: list[str],
    required: list[str],
    names: Sequence[object] | None,
    n_columns: int,
    wanted: Mapping[str, Choice],
) -> None:
    if roles.get("weight") == n_columns - 1:
        n_columns -= 1
    with_times = [*required, "timestamp"]
    order = {len(required): required, len(with_times): with_times}.get(n_columns, [])
    contradicted = any(role in order and order.index(role) != at for role, at in roles.items())
    clash = any(order.index(role) in roles.values() for role in missing) if order else True
    numbered = names is not None and any(
        _plain(names[order.index(role)]) in _ROW_NUMBERS for role in missing if role in order
    )
    if not order or contradicted or clash or numbered:
        remedy = f"{', '.join(f'{role}=...' for role in missing)} (a name, or a position from 0)"
        if missing == ["rating"]:
            remedy = f"{remedy}, or {WITHOUT_RATINGS}"
        why = ": the first seems to hold row numbers" if numbered else ""
        raise ValueError(
            f"cannot tell which column is the {' and which the '.join(missing)}{why}; choose with "
            f"{remedy}. {_list_of(names, n_columns)}"
        )
    for role in missing:
        roles[role] = order.index(role)
    last = len(with_times) - 1
    if order is with_times and wanted.get("timestamp") is None and last not in roles.values():
        roles.setdefault("timestamp", last)


def _list_of(names: Sequence[object] | None, n_columns: int) -> str:
    if names is None:
        return f"The {n_columns} columns have no names"
    shown = ", ".join(repr(str(name)) for name in names[:20])
    return f"The {n_columns} columns are {shown}{', ...' if n_columns > 20 else ''}"


def _plain(name: object) -> str:
    return "".join(character for character in str(name).lower() if character.isalnum())
