"""The C++ tests, each case as a test of its own."""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ET

import pytest
from native_build import NOT_BUILT, find_tests

TIMEOUT_SECONDS = 600


def list_cases() -> list[str]:
    """The names of the test cases; none where nothing is built."""
    program = find_tests()
    if program is None:
        return []
    command = [program, "--list-test-cases", "--no-skip", "--reporters=xml"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    return [case.attrib["name"] for case in ET.fromstring(listed.stdout).iter("TestCase")]


def as_filter(name: str) -> str:
    """The filter that chooses the case of this name: commas separate filters unless escaped."""
    return name.replace("\\", "\\\\").replace(",", "\\,")


CASES = list_cases()


@pytest.mark.skipif(find_tests() is None, reason=NOT_BUILT)
def test_the_names_of_the_cases_are_different() -> None:
    assert len(CASES) == len(set(CASES)) > 0


@pytest.mark.skipif(find_tests() is None, reason=NOT_BUILT)
@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    program = find_tests()
    assert program is not None
    command = [program, f"--test-case={as_filter(name)}", "--no-skip", "--no-path-filenames"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 passed" in result.stdout, result.stdout
