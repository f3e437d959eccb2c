"""Where the C++ tests were built: told by $MATFAC_CPP_TESTS (tools/test.sh), or found below build/.

What is told must be there. Where nothing is told or found, tests that need the build are skipped.
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
NOT_BUILT = "the C++ tests are not built: run tools/test.sh or cmake --workflow dev"


def find_tests() -> Path | None:
    """The program of the C++ tests."""
    told = os.environ.get("MATFAC_CPP_TESTS")
    if told:
        return Path(told)
    built = (ROOT / "build").glob("*/cpp/tests/matfac_tests")
    return max(built, key=lambda path: path.stat().st_mtime, default=None)


def find_library() -> Path | None:
    """The static library that the program was linked with."""
    tests = find_tests()
    return tests.parent.parent / "libmatfac.a" if tests else None
