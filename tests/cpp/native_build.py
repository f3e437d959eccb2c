"""Where the C++ tests were built: told by $MATFAC_CPP_TESTS (tools/test.sh), or found below build/.

What is told must be there. Where nothing is told or found, tests that need the build are skipped.
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
NOT_BUILT = "the C++ tests are not built: run tools/test.sh or cmake --workflow --preset dev"


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


SERVICE_NOT_BUILT = (
    "the service is not built: configure with -DMATFAC_BUILD_SERVICE=ON (tools/test.sh does)"
)


def find_service() -> Path | None:
    """The program of cpp/examples/service: told by $MATFAC_SERVICE, or beside the C++ tests."""
    told = os.environ.get("MATFAC_SERVICE")
    if told:
        return Path(told)
    tests = find_tests()
    built = tests.parent.parent / "examples" / "service" / "matfac_service" if tests else None
    return built if built is not None and built.exists() else None
