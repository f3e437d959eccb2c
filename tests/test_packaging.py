"""What an installed matfac is: its files, what importing it costs, how it behaves in a process."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import inspect
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path, PurePosixPath

import pytest

import matfac as mf
from matfac import _core

ROOT = Path(__file__).resolve().parent.parent
#: Used only when needed, and then imported there.
HEAVY = ("narwhals", "pandas", "polars", "pyarrow", "safetensors", "scipy", "sklearn", "tqdm")
LEVELS = mf.runtime_info()["instruction_sets"]


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the code in a new process; one that hangs fails the test."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


def output_of(code: str, **environment: str) -> str:
    result = run_python(code, **environment)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


# ---- files and versions ------------------------------------------------------------------------


def installed_files() -> list[PurePosixPath]:
    files = importlib.metadata.files("matfac") or []
    assert files
    return [PurePosixPath(file.as_posix()) for file in files]


def test_the_types_are_installed_and_the_sources_are_not() -> None:
    names = {path.name for path in importlib.resources.files("matfac").iterdir()}
    assert {"py.typed", "_core.pyi", "__init__.py"} <= names
    for file in installed_files():
        assert file.suffix not in {".cpp", ".inl", ".a", ".o", ".map", ".in"}, file
        assert file.parts[0].startswith("matfac") or file.name in {"matfac", "matfac.exe"}, file


@pytest.mark.skipif(sys.platform == "win32", reason="there the module holds the core")
def test_the_package_has_one_copy_of_the_core_and_what_builds_against_it() -> None:
    # docs/embedding.md: a C++ program finds the library in the wheel (tests/cpp/test_consumer.py).
    files = installed_files()
    headers = {file.name for file in files if file.suffix == ".hpp"}
    assert {"matfac.hpp", "fit.hpp", "model_file.hpp", "export.hpp"} <= headers
    for file in files:
        if file.suffix == ".hpp":
            assert file.parent == PurePosixPath("matfac/include/matfac"), file
        if file.suffix == ".cmake":
            assert file.parent == PurePosixPath("matfac/lib/cmake/matfac"), file
    libraries = [file for file in files if file.name.startswith("libmatfac")]
    assert len(libraries) == 1 and libraries[0].parent == PurePosixPath("matfac/lib")
    module = Path(_core.__file__)
    core = module.parent / "lib" / libraries[0].name
    assert core.stat().st_size > 2 * module.stat().st_size  # the loops are there, and only there
    if sys.platform == "linux":
        loaded = output_of("import matfac; print(open('/proc/self/maps').read())")
        assert str(core.resolve()) in loaded


def test_the_command_line_tells_where_c_plus_plus_finds_the_library() -> None:
    for option, name in (("--cmake-dir", "matfacConfig.cmake"), ("--include-dir", "matfac")):
        command = [sys.executable, "-m", "matfac", option]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if sys.platform == "win32":
            assert done.returncode == 2 and "docs/embedding.md" in done.stderr
        else:
            assert done.returncode == 0 and (Path(done.stdout.strip()) / name).exists()


@pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("nm") is None, reason="needs nm, as it is on Linux"
)
def test_the_module_shows_no_name_that_could_clash() -> None:
    names = subprocess.run(
        ["nm", "--dynamic", "--defined-only", "--format=posix", _core.__file__],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert [line.split()[0] for line in names.splitlines()] == ["PyInit__core"]


def test_the_version_is_the_same_everywhere() -> None:
    version = importlib.metadata.version("matfac")
    assert mf.__version__ == _core.__version__ == mf.runtime_info()["version"] == version


@pytest.mark.parametrize(
    ("file", "pattern"),
    [("CITATION.cff", r"^version: (\S+)$"), ("conda/recipe.yaml", r'^  version: "(\S+)"$')],
)
def test_what_repeats_the_version_has_the_same(file: str, pattern: str) -> None:
    path = ROOT / file
    if not path.exists() and not (ROOT / "CMakeLists.txt").exists():
        pytest.skip("these tests are not beside the sources")
    assert re.findall(pattern, path.read_text(), re.MULTILINE) == [mf.__version__]


def test_the_command_is_installed() -> None:
    scripts = importlib.metadata.entry_points(group="console_scripts", name="matfac")
    assert [script.value for script in scripts] == ["matfac._cli:main"]


@pytest.mark.skipif(
    not (ROOT / "CMakeLists.txt").exists(), reason="these tests are not beside the sources"
)
def test_the_sdist_has_all_sources_and_nothing_that_was_built(tmp_path: Path) -> None:
    build = "import sys; from scikit_build_core.build import build_sdist; build_sdist(sys.argv[1])"
    command = [sys.executable, "-c", build, str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (archive,) = tmp_path.iterdir()
    assert archive.name == f"matfac-{mf.__version__}.tar.gz"
    with tarfile.open(archive) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    kinds = {".cpp", ".hpp", ".inl", ".txt", ".in", ".map", ".cmake", ".py", ".pyi", ".typed"}
    kinds |= {".md", ".sh", ".safetensors"}
    sources = {
        path.relative_to(ROOT).as_posix()
        for folder in ("cpp", "python", "tests", "docs", "tools")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in kinds
    }
    assert len(sources) > 200 and sources - names == set()
    files = {"CMakeLists.txt", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "PKG-INFO"}
    assert files - names == set()
    for name in names:
        assert not re.search(r"\.(so|o|a|pyc|pyd|whl|gz)$|(^|/)(build|dist|wheelhouse)/", name), (
            name
        )
        assert not re.match(r"\.(git|venv|ci|hypothesis|\w+_cache)", name), name


# ---- import ------------------------------------------------------------------------------------


def test_importing_matfac_imports_nothing_heavy() -> None:
    loaded = output_of("import sys, matfac; print(*sys.modules)").split()
    assert "matfac._core" in loaded
    assert {name.split(".")[0] for name in loaded} & set(HEAVY) == set()
    assert "matfac.reference" not in loaded


def test_fitting_arrays_imports_nothing_heavy() -> None:
    code = """
        import sys, matfac
        R = matfac.datasets.make_ratings(30, 20, 200, random_state=0)
        matfac.MatrixFactorization(4, max_iter=2).fit(R).predict(R.user_ids[:1], R.item_ids[:1])
        print(*sys.modules)
    """
    loaded = output_of(inspect.cleandoc(code)).split()
    assert {name.split(".")[0] for name in loaded} & set(HEAVY) == set()


# ---- defaults live in C++ ----------------------------------------------------------------------

#: Parameters of Python alone, and those that C++ calls otherwise.
PYTHON_ONLY = {"dtype", "verbose", "callbacks"}
OTHER_NAMES = {"random_state": "seed"}


#: What `ImplicitFactorization` chooses by its loss, or names differently from the core's default.
CHOSEN_BY_LOSS = {"loss", "solver", "biases"}


def test_the_defaults_are_those_of_the_core() -> None:
    settings = _core.Settings()
    compared = set()
    for estimator, by_loss in (
        (mf.MatrixFactorization, set()),
        (mf.ImplicitFactorization, CHOSEN_BY_LOSS),
    ):
        parameters = inspect.signature(estimator).parameters
        for name in set(parameters) - PYTHON_ONLY - by_loss:
            native = getattr(settings, OTHER_NAMES.get(name, name))
            default = parameters[name].default
            if isinstance(native, tuple) and not isinstance(default, tuple):
                default = (default, default)
            assert default == native, name
            compared.add(OTHER_NAMES.get(name, name))
    properties = {n for n, v in inspect.getmembers(_core.Settings) if isinstance(v, property)}
    assert compared == properties


# ---- instruction sets --------------------------------------------------------------------------

USE_EVERYTHING = """
import numpy as np, matfac
from matfac import reference
print(matfac.runtime_info()["instruction_set"])
R = matfac.datasets.make_ratings(90, 70, 1500, random_state=0)
rng = np.random.default_rng(0)
for dtype, tolerance in (("float32", 2e-5), ("float64", 1e-12)):
    S = R.astype(dtype)
    for F in (1, 16, 33):
        U = rng.normal(size=(R.n_users, F)).astype(dtype)
        V = rng.normal(size=(R.n_items, F)).astype(dtype)
        exact = reference.residuals(R.astype("float64"), U.astype(float), V.astype(float))
        allowed = 20 * F * tolerance
        np.testing.assert_allclose(matfac.residuals(S, U, V), exact, rtol=0, atol=allowed)
    for solver in ("als", "sgd", "batch"):
        model = matfac.MatrixFactorization(8, solver=solver, max_iter=5, dtype=dtype).fit(S)
        assert model.score(S) < np.std(R.values), solver
"""


@pytest.mark.parametrize("level", LEVELS)
def test_every_instruction_set_of_this_machine_works_when_forced(level: str) -> None:
    assert output_of(USE_EVERYTHING, MATFAC_ISA=level) == level


def test_the_best_instruction_set_is_the_default() -> None:
    environment = {k: v for k, v in os.environ.items() if k != "MATFAC_ISA"}
    code = "import matfac; print(matfac.runtime_info()['instruction_set'])"
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == LEVELS[-1]


def test_an_unknown_instruction_set_is_an_error_at_the_first_use() -> None:
    code = """
        import matfac
        try:
            matfac.runtime_info()
        except ValueError as error:
            print(error)
    """
    message = output_of(inspect.cleandoc(code), MATFAC_ISA="sse9")
    assert "MATFAC_ISA is 'sse9'" in message
    assert all(level in message for level in LEVELS)


# ---- fork --------------------------------------------------------------------------------------

FORK = """
import os, signal, sys, warnings
import numpy as np, matfac
warnings.simplefilter("ignore", DeprecationWarning)  # of fork in a process with threads: the point
R = matfac.datasets.make_ratings(200, 100, 5000, random_state=0)

def fit():
    model = matfac.MatrixFactorization(8, solver=sys.argv[1], max_iter=3, n_threads=2).fit(R)
    return model.user_factors_.tobytes()

before = fit()
child = os.fork()
if child == 0:
    signal.alarm(100)  # ends a child that hangs
    same = fit() == before
    os._exit(0 if same else 1)
_, status = os.waitpid(child, 0)
assert fit() == before
print(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("solver", ["als", "sgd", "batch"])
def test_a_forked_child_works_and_gives_the_same(solver: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", FORK, solver], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "0"


# ---- other OpenMP runtimes in the process --------------------------------------------------------

BESIDE = """
import hashlib, sys, warnings
warnings.simplefilter("ignore")
IMPORTS
import numpy as np
import matfac
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_info, threadpool_limits

R = matfac.datasets.make_ratings(200, 100, 5000, random_state=0)

def fit():
    model = matfac.MatrixFactorization(8, max_iter=3, n_threads=2).fit(R)
    groups = KMeans(3, n_init=1, random_state=0).fit_predict(model.user_factors_)
    return hashlib.sha256(model.user_factors_.tobytes() + groups.tobytes()).hexdigest()

print(fit(), fit() == fit())
runtimes = [info for info in threadpool_info() if info["user_api"] == "openmp"]
assert runtimes, "threadpoolctl sees no OpenMP runtime"
with threadpool_limits(limits=1, user_api="openmp"):
    assert matfac.runtime_info()["n_threads"] == 1, "ours is not among those that it sees"
"""


def test_it_works_beside_another_openmp_runtime_in_either_order() -> None:
    # scikit-learn's wheels bring an OpenMP runtime of their own, NumPy's a BLAS with threads.
    orders = ("import matfac, sklearn.cluster", "import sklearn.cluster, matfac")
    results = {output_of(BESIDE.replace("IMPORTS", order)) for order in orders}
    assert len(results) == 1 and results.pop().endswith(" True")
