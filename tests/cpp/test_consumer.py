"""The C++ library in the hands of a stranger: a project in an empty folder, each way to have it.

The library is taken from the tree of the C++ tests (tools/test.sh), which is already compiled, and
compiled once more as a part of the stranger's own project: as FetchContent and as add_subdirectory,
by the same commands, so that the second compiles nothing again. That host also installs it, as the
other kind: where the tests' tree is shared, it is static. With MATFAC_CONSUMERS=all both kinds come
from hosts; tools/consumers.sh runs that with each compiler and build type.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
from native_build import NOT_BUILT, ROOT, find_tests

import matfac as mf

STRANGER = ROOT / "cpp" / "tests" / "consumer"
HEADERS = sorted((ROOT / "cpp" / "include" / "matfac").glob("*.hpp"))
COMPILER = os.environ.get("CXX", "c++")
BUILD_TYPE = os.environ.get("CMAKE_BUILD_TYPE", "Release")
KINDS = ("shared", "static")

ALL = os.environ.get("MATFAC_CONSUMERS") == "all"

pytestmark = [
    pytest.mark.skipif(find_tests() is None and not ALL, reason=NOT_BUILT),
    pytest.mark.xdist_group("consumers"),
]


def run(*command: object, succeeds: bool = True, **environment: str) -> str:
    """What a command prints, messages included."""
    result = subprocess.run(
        [str(word) for word in command],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1800,
        check=False,
    )
    assert (result.returncode == 0) == succeeds, result.stdout
    return result.stdout


def cmake(*arguments: object, succeeds: bool = True) -> str:
    """CMake of this environment, or else the system's."""
    own = Path(sys.executable).parent / "cmake"
    return run(own if own.exists() else "cmake", *arguments, succeeds=succeeds)


def configure(
    build: Path, *settings: str, source: Path | None = None, succeeds: bool = True
) -> str:
    """Configure a copy of the stranger's project, or another one."""
    if source is None:
        source = build.parent / "stranger"
        if not source.exists():
            shutil.copytree(STRANGER, source)
    ninja = Path(sys.executable).parent / "ninja"
    generator = ["-G", "Ninja"] if ninja.exists() or shutil.which("ninja") else []
    if ninja.exists():
        generator.append(f"-DCMAKE_MAKE_PROGRAM={ninja}")
    definitions = [f"-D{setting}" for setting in (f"CMAKE_BUILD_TYPE={BUILD_TYPE}", *settings)]
    return cmake("-S", source, "-B", build, *generator, *definitions, succeeds=succeeds)


def run_stranger(program: Path, **environment: str) -> None:
    """The program must say that what it did is good."""
    output = run(program, program.parent / "model.safetensors", **environment)
    assert output.startswith(f"good: matfac {mf.__version__}, "), output
    assert "OpenMP 20" in output, output


def build_and_run(build: Path, *settings: str, **options: bool) -> Path:
    configure(build, *settings, **options)
    cmake("--build", build, "--parallel", "2")
    run_stranger(build / "stranger")
    return build / "stranger"


def needed(program: Path) -> list[str]:
    """The shared libraries that a program asks for."""
    return re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "--dynamic", program))


def kind_of_the_tests() -> str:
    program = find_tests()
    assert program is not None
    cache = (program.parent.parent.parent / "CMakeCache.txt").read_text()
    shared = re.search(r"^BUILD_SHARED_LIBS:\w+=(ON|1|TRUE|YES)$", cache, re.MULTILINE)
    return "shared" if shared else "static"


def subproject(way: str, kind: str, install: bool) -> list[str]:
    """Settings of the stranger's project with matfac inside, compiled from its sources."""
    return [
        f"WAY={way}",
        f"MATFAC_SOURCE={ROOT}",
        f"MATFAC_INSTALL={'ON' if install else 'OFF'}",
        f"BUILD_SHARED_LIBS={'ON' if kind == 'shared' else 'OFF'}",
        "CMAKE_UNITY_BUILD=ON",
        # Eigen, which only the sources need: the build requirement, where Debian's package is not.
        f"CMAKE_PREFIX_PATH={sysconfig.get_path('purelib')}",
    ]


class Host:
    """The stranger's project that has matfac as a part of itself, built and installed."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.kind = kind
        self.build = folder / "build"
        self.prefix = folder / "prefix"
        build_and_run(self.build, *subproject("FetchContent", kind, install=True))
        cmake("--install", self.build, "--prefix", self.prefix)


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Host]:
    """The host with a kind of the library inside."""
    made: dict[str, Host] = {}

    def get(kind: str) -> Host:
        if kind not in made:
            made[kind] = Host(tmp_path_factory.mktemp(f"host-{kind}"), kind)
        return made[kind]

    return get


@pytest.fixture(scope="session")
def prefix(
    tmp_path_factory: pytest.TempPathFactory, host: Callable[[str], Host]
) -> Callable[[str], Path]:
    """Where a kind of the library is installed, moved away from where it was installed to."""
    made: dict[str, Path] = {}

    def get(kind: str) -> Path:
        if kind in made:
            return made[kind]
        folder = tmp_path_factory.mktemp(f"installed-{kind}")
        if not ALL and kind == kind_of_the_tests():
            program = find_tests()
            assert program is not None
            tree = program.parent.parent.parent
            cmake("--install", tree, "--prefix", folder / "first", "--component", "cpp")
        else:
            shutil.copytree(host(kind).prefix, folder / "first", symlinks=True)
        made[kind] = (folder / "first").rename(folder / "moved")
        return made[kind]

    return get


# ---- the ways ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_installed_library_is_found(
    kind: str, prefix: Callable[[str], Path], tmp_path: Path
) -> None:
    program = build_and_run(tmp_path / "build", f"CMAKE_PREFIX_PATH={prefix(kind)}")
    matfac = [name for name in needed(program) if "matfac" in name]
    assert matfac == (["libmatfac.so.0.1"] if kind == "shared" else [])


@pytest.mark.parametrize("kind", KINDS)
def test_a_plain_call_of_the_compiler_with_pkg_config(
    kind: str, prefix: Callable[[str], Path], tmp_path: Path
) -> None:
    path = {"PKG_CONFIG_PATH": str(prefix(kind) / "lib" / "pkgconfig")}
    flags = run("pkg-config", "--cflags", "--libs", "matfac", **path).split()
    assert run("pkg-config", "--modversion", "matfac", **path).strip() == mf.__version__
    program = tmp_path / "stranger"
    run(COMPILER, "-std=c++20", STRANGER / "main.cpp", "-o", program, *flags)
    run_stranger(program, LD_LIBRARY_PATH=str(prefix(kind) / "lib"))


@pytest.mark.parametrize("kind", KINDS if ALL else ["other"])
def test_part_of_another_project(kind: str, host: Callable[[str], Host], tmp_path: Path) -> None:
    if kind == "other":
        kind = "static" if kind_of_the_tests() == "shared" else "shared"
    built = host(kind)  # by FetchContent
    program = build_and_run(built.build, *subproject("add_subdirectory", kind, install=False))
    # Nothing of matfac is installed unless the host asks for it.
    prefix = tmp_path / "prefix"
    cmake("--install", built.build, "--prefix", prefix)
    assert [path for path in prefix.rglob("*") if path.is_file()] == [prefix / "bin" / program.name]


def test_the_installed_wheel(tmp_path: Path) -> None:
    folder = run(sys.executable, "-m", "matfac", "--cmake-dir").strip()
    include = Path(run(sys.executable, "-m", "matfac", "--include-dir").strip())
    assert {path.name for path in (include / "matfac").iterdir()} == {p.name for p in HEADERS}
    program = build_and_run(tmp_path / "build", f"matfac_DIR={folder}")
    assert "libmatfac.so.0.1" in needed(program)


# ---- what is installed -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_installed_files(kind: str, prefix: Callable[[str], Path]) -> None:
    folder = prefix(kind)
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()}
    headers = {f"include/matfac/{path.name}" for path in HEADERS}
    package = {
        "matfacConfig.cmake",
        "matfacConfigVersion.cmake",
        f"matfac{kind.capitalize()}Targets.cmake",
        f"matfac{kind.capitalize()}Targets-{BUILD_TYPE.lower()}.cmake",
    }
    expected = headers | {"lib/pkgconfig/matfac.pc"}
    if kind == "static":
        package.add("matfacStaticDependencies.cmake")
        expected.add("lib/libmatfac.a")
    expected |= {f"lib/cmake/matfac/{name}" for name in package}
    # How far a shared library's file name goes depends on whether it is for a wheel.
    rest = {name for name in files - expected if not name.startswith("bin/")}
    shared = {"lib/libmatfac.so", "lib/libmatfac.so.0.1"}
    if kind == "static":
        assert rest == set()
    else:
        assert shared <= rest <= shared | {f"lib/libmatfac.so.{mf.__version__}"}
    assert expected <= files


@pytest.mark.parametrize("kind", KINDS)
def test_no_path_of_this_machine_is_installed(kind: str, prefix: Callable[[str], Path]) -> None:
    folder = prefix(kind)
    absolute = re.compile(r"(?<![\w.}$)])/(usr|opt|home|root|tmp|work|build|lib|var)/")
    for path in [*folder.glob("lib/cmake/matfac/*"), *folder.glob("lib/pkgconfig/*")]:
        assert not absolute.search(path.read_text()), path
        assert str(ROOT) not in path.read_text(), path


def settings_of(*prefixes: Path) -> str:
    return "CMAKE_PREFIX_PATH=" + ";".join(map(str, prefixes))


def write_project(folder: Path, *lines: str) -> Path:
    folder.mkdir(exist_ok=True)
    text = ["cmake_minimum_required(VERSION 3.21)", "project(asker LANGUAGES CXX)", *lines]
    (folder / "CMakeLists.txt").write_text("\n".join(text) + "\n")
    return folder


def test_another_minor_version_is_not_taken(prefix: Callable[[str], Path], tmp_path: Path) -> None:
    found = settings_of(prefix("shared"))
    for wanted, message in (("0.0", "0.1.0"), ("0.2", "0.1.0"), ("1.0", "0.1.0")):
        project = write_project(tmp_path / wanted, f"find_package(matfac {wanted} CONFIG REQUIRED)")
        output = configure(tmp_path / f"b{wanted}", found, source=project, succeeds=False)
        assert "matfac" in output and message in output
    project = write_project(tmp_path / "same", "find_package(matfac 0.1.0 CONFIG REQUIRED)")
    configure(tmp_path / "b", found, source=project)


def test_components_choose_between_two_kinds(prefix: Callable[[str], Path], tmp_path: Path) -> None:
    both = tmp_path / "both"
    for kind in KINDS:
        shutil.copytree(prefix(kind), both, dirs_exist_ok=True, symlinks=True)
    ask = (
        "get_target_property(location matfac::matfac LOCATION)",
        'message(STATUS "taken: ${location}")',
    )
    for components, taken in (
        ("", "libmatfac.so"),
        ("COMPONENTS shared", "libmatfac.so"),
        ("COMPONENTS static", "libmatfac.a"),
    ):
        find = f"find_package(matfac CONFIG REQUIRED {components})"
        project = write_project(tmp_path / "project", find, *ask)
        shutil.rmtree(tmp_path / "build", ignore_errors=True)
        output = configure(tmp_path / "build", settings_of(both), source=project)
        assert f"lib/{taken}" in output, output
        if not components:
            static = [settings_of(both), "BUILD_SHARED_LIBS=OFF"]
            assert "lib/libmatfac.a" in configure(tmp_path / "build2", *static, source=project)
    for kind, components, message in (
        ("static", "shared", "the shared library is not installed"),
        ("shared", "static shared", "exclude each other"),
        ("shared", "python", "python"),
    ):
        find = f"find_package(matfac CONFIG REQUIRED COMPONENTS {components})"
        project = write_project(tmp_path / "project", find)
        shutil.rmtree(tmp_path / "build")
        found = settings_of(prefix(kind))
        output = configure(tmp_path / "build", found, source=project, succeeds=False)
        assert message in " ".join(output.split()), output


# ---- headers and compilers ---------------------------------------------------------------------


def test_the_public_headers_are_few() -> None:
    assert sum(len(path.read_text().splitlines()) for path in HEADERS) <= 1000


@pytest.mark.parametrize("header", HEADERS, ids=lambda path: path.name)
def test_each_header_stands_alone(header: Path, tmp_path: Path) -> None:
    source = tmp_path / "alone.cpp"
    name = f"matfac/{header.name}"
    source.write_text(f"#include <{name}>\n#include <{name}>\n")
    strict = "-std=c++20 -fsyntax-only -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror"
    run(COMPILER, *strict.split(), "-I", header.parent.parent, source)


def test_an_impossible_compiler_is_refused_with_the_remedy() -> None:
    script = ROOT / "cpp" / "cmake" / "Compiler.cmake"
    output = cmake("-DCMAKE_CXX_COMPILER_ID=MSVC", "-P", script, succeeds=False)
    assert "clang-cl" in output
    both = ("-DAPPLE=1", "-DCMAKE_OSX_ARCHITECTURES=x86_64;arm64")
    assert "lipo" in cmake(*both, "-P", script, succeeds=False)
