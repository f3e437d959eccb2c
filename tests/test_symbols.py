"""No code compiled for one instruction set can be taken for another's.

The kernels are compiled once per level. A function template or inline function that two such units
share would be a weak symbol in both; the linker keeps one of the copies, and a machine without
AVX-512 would run AVX-512 code. So a level's unit may define one thing that others see: its table.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from native_build import NOT_BUILT, find_library

import matfac as mf

LEVELS = ("baseline", "avx2", "avx512")
LIBRARY = find_library()

needs_build = pytest.mark.skipif(LIBRARY is None, reason=NOT_BUILT)


def run(*command: object) -> str:
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def symbols_by_unit() -> dict[str, list[tuple[str, str]]]:
    """Unit of the static library -> (kind, demangled name) of each symbol it shows to others."""
    units: dict[str, list[tuple[str, str]]] = {}
    unit = ""
    for line in run("nm", "--demangle", "--defined-only", "--extern-only", LIBRARY).splitlines():
        if line.endswith(":"):
            unit = line.removesuffix(":").removesuffix(".o")
            units[unit] = []
        elif line:
            _, kind, name = line.split(" ", 2)
            units[unit].append((kind, name))
    return units


@needs_build
@pytest.mark.parametrize("level", LEVELS)
def test_a_level_shows_its_tables_and_nothing_else(level: str) -> None:
    units = symbols_by_unit()
    unit = f"kernels_{level}.cpp"
    if unit not in units and level != "baseline":
        assert level not in mf.runtime_info()["instruction_sets"]
        pytest.skip(f"this build has no level {level}")
    names = [name for _, name in units[unit]]
    for dtype in ("float", "double"):
        table = rf"matfac::Kernels<{dtype}> const& matfac::kernels_{level}<{dtype}>\(\)"
        assert any(re.fullmatch(table, name) for name in names)
    assert [name for name in names if f"matfac::kernels_{level}<" not in name] == []


@needs_build
def test_the_units_that_any_processor_runs_have_no_vectors_of_a_level() -> None:
    # What they define may be weak, and the linker may keep it: it must run everywhere.
    wide = re.compile(r"%[yz]mm\d|\bvfn?m(add|sub)")
    unit, found = "", {}
    for line in run("objdump", "--disassemble", "--no-show-raw-insn", LIBRARY).splitlines():
        if ":     file format" in line:
            unit = line.split(":")[0]
        elif wide.search(line):
            found.setdefault(unit, line)
    assert {unit for unit in found if "avx" not in unit} == set()


# ---- what the libraries show -------------------------------------------------------------------


def shared_library() -> Path | None:
    """The shared library, where the tests' tree has one."""
    found = LIBRARY.with_suffix(".so") if LIBRARY else None
    return found if found and found.exists() else None


@pytest.mark.skipif(shared_library() is None, reason="the C++ tests' tree has no shared library")
def test_the_shared_library_shows_its_interface_with_its_version_and_nothing_else() -> None:
    shown = run("nm", "--dynamic", "--defined-only", "--format=posix", shared_library())
    names = [line.split()[0] for line in shown.splitlines()]
    version = ".".join(mf.__version__.split(".")[:2])
    for name in names:
        assert name == f"MATFAC_{version}" or name.endswith(f"@@MATFAC_{version}"), name
        assert re.match(r"MATFAC_|_ZNK?6matfac|_ZT[ISV]6matfac|_ZT[ISV]N6matfac", name), name
    text = run("c++filt", *[name.split("@")[0] for name in names])
    for shown_name in (
        "matfac::fit<float>",
        "matfac::ModelFile::open",
        "matfac::recommend<double>",
    ):
        assert shown_name in text
    # A catch in another library finds our exceptions by these.
    assert "typeinfo for matfac::InvalidArgument" in text
    for hidden in ("kernels_avx2", "matfac::detail::", "parallel_for"):
        assert hidden not in text


@pytest.mark.skipif(shared_library() is None, reason="the C++ tests' tree has no shared library")
def test_the_name_of_the_shared_library_has_the_minor_version() -> None:
    name = re.search(r"SONAME.*\[(.*)\]", run("readelf", "--dynamic", shared_library()))
    assert name and name.group(1) == "libmatfac.so." + ".".join(mf.__version__.split(".")[:2])
