"""The walls of the house: who may include whom, what is kept in one place, how long things may be.

CONTRIBUTING.md has the map of the rooms. Everything here reads the sources as text: a wall that
moves is moved there and here.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CPP = ROOT / "cpp"
PACKAGE = ROOT / "python" / "matfac"
MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 80

CPP_SUFFIXES = {".cpp", ".hpp", ".inl"}
CPP_FILES = sorted(path for path in CPP.rglob("*") if path.suffix in CPP_SUFFIXES)
PYTHON_FILES = sorted(
    path
    for folder in ("python", "tests", "tools", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
)
PACKAGE_FILES = sorted(PACKAGE.rglob("*.py"))

#: room -> rooms that it may include, beside itself
ROOMS = {
    "include": set(),
    "core": {"include"},
    "losses": {"core", "include"},
    "regularizers": {"core", "include"},
    "kernels": {"losses", "core", "include"},
    "solvers": {"losses", "regularizers", "kernels", "core", "include"},
    "model": {"kernels", "core", "include"},
    "io": {"model", "core", "include"},
    "bindings": {"include"},
}
#: What `import matfac` may cost beside Python's own library.
IMPORTED_AT_ONCE = {"numpy", "matfac"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def each(files: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", files, ids=name_of)


def violations(pattern: str, files: list[Path]) -> list[str]:
    """The lines of code, comments left out, in which the pattern is found."""
    found = []
    for path in files:
        for number, line in enumerate(without_comments(path.read_text()).splitlines(), 1):
            if re.search(pattern, line):
                found.append(f"{name_of(path)}:{number}: {line.strip()}")
    return found


# ---- C++ ---------------------------------------------------------------------------------------

COMMENT_OR_LITERAL = re.compile(
    r"""
    //[^\n]*                                  # a comment
  | /\*.*?\*/
  | R"(?P<mark>[^()\s]*)\(.*?\)(?P=mark)"     # a raw string
  | "(?:\\.|[^"\\\n])*"                       # a string
  | (?<![0-9a-zA-Z_])'(?:\\.|[^'\\\n])+'      # a character, not a separator of digits
    """,
    re.DOTALL | re.VERBOSE,
)


def blank(text: str, keep_literals: bool) -> str:
    """The text without comments, and without literals unless they are kept; lines stay in place."""

    def replace(match: re.Match[str]) -> str:
        found = match.group()
        if keep_literals and not found.startswith(("//", "/*")):
            return found
        return "\n" * found.count("\n") or " "

    return COMMENT_OR_LITERAL.sub(replace, text)


def without_comments(text: str) -> str:
    return blank(text, keep_literals=True)


def room_of(path: Path) -> str | None:
    """The room of a file of ours, None outside the rooms (tests, bench, examples)."""
    parts = path.relative_to(CPP).parts
    room = parts[1] if parts[0] == "src" else parts[0]
    return room if room in ROOMS else None


def includes_of(path: Path) -> Iterator[tuple[str, Path | None]]:
    """Each include as written, with our file that it names, if it is one of ours."""
    for match in re.finditer(
        r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', without_comments(path.read_text()), re.MULTILINE
    ):
        bracket, name = match.groups()
        candidates = (path.parent / name, CPP / "include" / name, CPP / "src" / name)
        ours = next((c.resolve() for c in candidates if c.is_file()), None)
        assert ours or bracket == "<", f"{name_of(path)} includes {name}, which is nowhere"
        yield name, ours


def test_there_is_something_to_check() -> None:
    assert len(CPP_FILES) > 40 and len(PACKAGE_FILES) > 10
    assert {room_of(path) for path in CPP_FILES} >= set(ROOMS)


@each([path for path in CPP_FILES if room_of(path)])
def test_rooms_include_only_what_is_below_them(path: Path) -> None:
    room = room_of(path)
    assert room is not None
    for name, ours in includes_of(path):
        if ours:
            other = room_of(ours)
            assert other == room or other in ROOMS[room], f"{room} must not include {name}"


def test_includes_have_no_cycles() -> None:
    graph = {path: [ours for _, ours in includes_of(path) if ours] for path in CPP_FILES}
    assert cycle_in(graph) is None


def cycle_in(graph: dict[Path, list[Path]]) -> list[str] | None:
    done: set[Path] = set()

    def visit(path: Path, above: list[Path]) -> list[str] | None:
        if path in above:
            return [name_of(p) for p in [*above[above.index(path) :], path]]
        if path in done:
            return None
        for other in graph.get(path, []):
            found = visit(other, [*above, path])
            if found:
                return found
        done.add(path)
        return None

    return next((found for path in graph if (found := visit(path, []))), None)


#: What the families of stochastic steps share: blocks, rows with rates, the order of blocks.
SHARED_BY_SOLVERS = "stochastic"


def test_solver_families_do_not_know_each_other() -> None:
    solvers = CPP / "src" / "solvers"
    for path in solvers.rglob("*.?pp"):
        for name, ours in includes_of(path):
            if ours is None or solvers not in ours.parents or ours.parent == solvers:
                continue
            if ours.parent.name == SHARED_BY_SOLVERS:
                continue
            assert ours.parent == path.parent, f"{name_of(path)} includes {name} of another family"


@each([p for p in CPP_FILES if room_of(p) == "include" and p.name != "eigen.hpp"])
def test_public_headers_need_the_standard_library_only(path: Path) -> None:
    for name, ours in includes_of(path):
        assert ours or re.fullmatch(r"[a-z_]+", name), f"{name} is not of the standard library"


@each(
    [
        p
        for p in CPP_FILES
        if room_of(p) == "kernels" and p.name not in {"dispatch.cpp", "runtime.cpp"}
    ]
)
def test_hot_loops_see_plain_pointers_only(path: Path) -> None:
    # They are compiled once per instruction set: an inline function from elsewhere would become a
    # weak symbol, and the linker might take the copy of another level (test_symbols.py).
    for name, ours in includes_of(path):
        allowed = ours and (room_of(ours) in {"kernels", "losses"} or ours.name == "types.hpp")
        assert allowed or re.fullmatch(r"cstd\w+|cmath|string|vector|immintrin\.h|arm_\w+\.h", name)


@each([path for path in CPP_FILES if room_of(path) == "losses"])
def test_losses_are_arithmetic_in_the_unnamed_namespace(path: Path) -> None:
    text = blank(path.read_text(), keep_literals=False)
    assert all(ours and room_of(ours) == "losses" for _, ours in includes_of(path))
    assert re.search(r"namespace matfac \{\s*namespace \{", text)
    assert not re.search(r"\b(for|while|throw|new)\b", text)


@pytest.mark.parametrize(
    ("pattern", "home"),
    [
        (r"#\s*include\s*[<\"](pybind11|Python\.h)", lambda p: room_of(p) == "bindings"),
        (
            r"__AVX|__SSE|__FMA__|__ARM_NEON|immintrin|x86intrin|\b_mm\d*_|\b__m\d+|target_clones",
            lambda p: room_of(p) == "kernels",
        ),
        (
            r"#\s*pragma\s+omp|omp\.h|\bomp_\w+\(|\bstd::(jthread|async|thread)\b|pthread_create",
            lambda p: (
                name_of(p) == "cpp/src/core/parallel.hpp"
                or name_of(p) == "cpp/src/core/parallel.cpp"
                or "tests" in p.parts
            ),
        ),
        (
            r"\b(std::c(out|err)|f?printf|puts|exit|abort|terminate)\s*[(<]",
            lambda p: "tests" in p.parts,
        ),
    ],
    ids=["pybind11", "instruction sets", "threads", "printing and exiting"],
)
def test_some_things_live_in_one_place(pattern: str, home: Callable[[Path], bool]) -> None:
    sources = [path for path in CPP_FILES if room_of(path) or "tests" in path.parts]
    assert violations(pattern, [path for path in sources if not home(path)]) == []


def cpp_functions(text: str) -> Iterator[tuple[int, int, str]]:
    """First line, last line and head of each function: a block with a "(" in its head, in a scope.

    A scope is a namespace, class or the like. What is nested in a function belongs to it.
    """
    text = blank(text, keep_literals=False)
    text = re.sub(
        r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: "\n" * m.group().count("\n"), text, flags=re.M
    )
    head_start, depth_in_function, opened_at, line_of_head = 0, 0, "", 0
    for match in re.finditer(r"[;{}]", text):
        position = match.start()
        if depth_in_function:
            depth_in_function += {"{": 1, "}": -1, ";": 0}[match.group()]
            if depth_in_function == 0:
                yield line_of_head, text.count("\n", 0, position) + 1, opened_at
                head_start = position + 1
            continue
        head = text[head_start:position]
        if match.group() == "{" and "(" in re.sub(
            r"(alignas|__attribute__|decltype)\s*\(+[^)]*\)+", "", head
        ):
            depth_in_function, opened_at = 1, " ".join(head.split())[-60:]
            line_of_head = text.count("\n", 0, head_start + len(head) - len(head.lstrip())) + 1
        head_start = position + 1


def test_the_counter_of_functions_counts() -> None:
    text = """namespace a {
        // {
        int f(int x) {
          if (x) { return '{'; }
          return g("}");
        }
        }
        struct B { int h() { return 1'000; } };
    """
    assert [(first, last) for first, last, _ in cpp_functions(text)] == [(3, 6), (8, 8)]


@each(CPP_FILES)
def test_cpp_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_FILE_LINES
    for first, last, head in cpp_functions(text):
        assert last - first < MAX_FUNCTION_LINES, f"line {first}: {head}"


# ---- Python ------------------------------------------------------------------------------------


@each(PYTHON_FILES)
def test_python_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_FILE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            # The text of a docstring is not the length of the code.
            first = node.body[0].end_lineno if ast.get_docstring(node) else node.lineno
            assert node.end_lineno is not None and first is not None
            assert node.end_lineno - first < MAX_FUNCTION_LINES, f"{node.name}, line {node.lineno}"


def is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def module_file(module: str) -> Path | None:
    """The file of a module of the package, None for any other."""
    if module.split(".")[0] != "matfac":
        return None
    path = PACKAGE.joinpath(*module.split(".")[1:])
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


def imports_of(path: Path, at_once: bool) -> Iterator[str]:
    """Modules that a file imports, dotted; if ``at_once`` only those that its own import needs."""

    def visit(node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}, line {node.lineno}: a relative import"
            module = node.module or ""
            modules = [f"{module}.{alias.name}" for alias in node.names]
            inner = [name for name in modules if module_file(name)]
            yield from inner or [module]
        elif at_once and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            return
        elif not (at_once and isinstance(node, ast.stmt) and is_type_checking(node)):
            for child in ast.iter_child_nodes(node):
                yield from visit(child)

    yield from visit(ast.parse(path.read_text()))


@each(PACKAGE_FILES)
def test_heavy_packages_are_imported_where_they_are_used(path: Path) -> None:
    for module in imports_of(path, at_once=True):
        top = module.split(".")[0]
        assert top in IMPORTED_AT_ONCE or top in sys.stdlib_module_names, (
            f"imports {module} at once"
        )


@each([path for path in PACKAGE_FILES if path.parent.name != "reference"])
def test_the_twins_are_not_used_by_what_they_check(path: Path) -> None:
    assert not any(m.startswith("matfac.reference") for m in imports_of(path, at_once=False))


@each(sorted((PACKAGE / "reference").glob("*.py")))
def test_the_twins_are_numpy_only(path: Path) -> None:
    modules = set(imports_of(path, at_once=True))
    assert {m.split(".")[0] for m in modules} <= {
        "numpy",
        "matfac",
        "__future__",
        *sys.stdlib_module_names,
    }
    assert "matfac._core" not in modules


def test_modules_have_no_cycles() -> None:
    graph = {
        path: [
            file
            for module in imports_of(path, at_once=True)
            if (file := module_file(module)) and module != "matfac"
        ]
        for path in PACKAGE_FILES
    }
    assert cycle_in(graph) is None


@each(PACKAGE_FILES)
def test_ambiguous_names_are_not_public(path: Path) -> None:
    # Each of these means three different things among the libraries for this work.
    banned = {"alpha", "lambda_", "reg", "k", "eta", "lr", "rank"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
            assert not banned & {argument.arg for argument in arguments}, node.name


# ---- versions that are written twice ------------------------------------------------------------


def test_the_tools_are_pinned_to_the_same_versions_everywhere() -> None:
    pins = dict(re.findall(r'"([\w-]+)==([\d.]+)"', (ROOT / "pyproject.toml").read_text()))
    hooks = re.findall(r"\[?([\w-]+)==([\d.]+)\]?", (ROOT / ".pre-commit-config.yaml").read_text())
    assert hooks and all(pins[tool] == version for tool, version in hooks)


def test_the_group_for_building_meets_the_build_requirements() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    required = re.search(r"^requires = \[(.*)\]", text, re.MULTILINE)
    group = re.search(r"^build = \[(.*)\]", text, re.MULTILINE)
    assert required and group
    names = [re.match(r"[\w-]+", item.strip(' "')) for item in required.group(1).split(", ")]
    for name in names:
        assert name and f'"{name.group()}' in group.group(1)
