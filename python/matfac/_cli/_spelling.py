"""What the package says of its parameters, in the words of the command line."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence

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


def as_typed(message: str, arguments: Sequence[str] = ()) -> str:
    """Return a message with ``--n-factors`` for n_factors and ``--header`` for header=.

    What the caller typed, such as the name of a file, is left as it is.
    """
    own = [text for text in arguments if text and (_OWN.search(text) or _GIVEN.search(text))]
    pieces = re.split(f"({'|'.join(map(re.escape, own))})", message) if own else [message]
    return "".join(
        piece if at % 2 else _GIVEN.sub(_option, _OWN.sub(lambda m: _OWN_OPTIONS[m[0]], piece))
        for at, piece in enumerate(pieces)
    )


def _option(found: re.Match[str]) -> str:
    name, dots, text, alone = found.groups()
    option = "--" + (name or alone).replace("_", "-")
    if alone:
        return option
    if dots:
        return f"{option} ..."
    return f"{option} {text or ''}".rstrip() if text is not None else f"{option} "
