"""The command line: ``matfac train | evaluate | predict | recommend | demo | info``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 130 after Ctrl-C, which is no error."""
    try:
        from matfac._cli._main import run  # takes a moment, in which Ctrl-C may come as well

        return run(arguments)
    except KeyboardInterrupt:
        print("matfac: interrupted", file=sys.stderr)
        return _INTERRUPTED
