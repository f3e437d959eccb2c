"""The package's warning categories, and one way of raising them."""

from __future__ import annotations

import sys
import warnings


class CopyWarning(UserWarning):
    """An input had to be copied entry by entry, because its layout or dtype is not the core's.

    The message says what was copied, why, and what to pass instead.
    """


class DuplicateRatingsWarning(UserWarning):
    """Some (user, item) pairs occur more than once and nobody said what is to become of them.

    Passing ``duplicates=`` explicitly states the policy and silences the warning.
    """


def warn_user(message: str, category: type[Warning]) -> None:
    """Warn at the line outside this package that led here."""
    package = __name__.partition(".")[0]
    level = 1
    frame = sys._getframe()
    while frame.f_back is not None and _belongs_to(frame.f_globals.get("__name__", ""), package):
        frame = frame.f_back
        level += 1
    warnings.warn(message, category, stacklevel=level)


def _belongs_to(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")
