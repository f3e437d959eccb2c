"""What the package says of its parameters, in the words of the command line."""

from __future__ import annotations

import inspect
import re

from matfac import ImplicitFactorization, MatrixFactorization, Ratings

#: Values that the command line has an option of its own for.
_OWN_OPTIONS = {
    "header=False": "--no-header",
    "header=True": "--header",
    "rating=False": "--no-rating",
    "string_ids=True": "--string-ids",
    "exclude_seen=False": "--include-seen",
    "biases=False": "--no-biases",
}
_PARAMETERS = {
    name
    for function in (Ratings.read, MatrixFactorization, ImplicitFactorization)
    for name in inspect.signature(function).parameters
}
_OWN = re.compile("|".join(map(re.escape, _OWN_OPTIONS)))
#: ``name=value`` of a parameter; or its name alone, if no word of prose has its form. Neither is
#: part of a path.
_GIVEN = re.compile(
    r"(?<![\w/\\.-])(?:"
    rf"({'|'.join(sorted(_PARAMETERS))})=(?:(\.\.\.)|'([^']*)')?"
    rf"|({'|'.join(sorted(name for name in _PARAMETERS if '_' in name))})(?![\w/\\]|\.\w)"
    ")"
)


def as_typed(message: str) -> str:
    """Return a message with ``--n-factors`` for n_factors and ``--header`` for header=."""
    message = _OWN.sub(lambda found: _OWN_OPTIONS[found[0]], message)
    return _GIVEN.sub(_option, message)


def _option(found: re.Match[str]) -> str:
    name, dots, text, alone = found.groups()
    option = "--" + (name or alone).replace("_", "-")
    if alone:
        return option
    if dots:
        return f"{option} ..."
    return f"{option} {text or ''}".rstrip() if text is not None else f"{option} "
