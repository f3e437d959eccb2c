"""The command line: ``matfac train | evaluate | predict | recommend | demo | info``."""

from __future__ import annotations

from matfac._cli._main import main

__all__ = ["main"]
