"""Parse, run, and turn errors into messages and exit codes."""

from __future__ import annotations

import argparse
import io
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matfac import _core
from matfac._cli import _commands, _options
from matfac._cli._spelling import as_typed
from matfac.export import FORMATS

#: Where the package keeps what a C++ program is built with.
_PACKAGE = Path(_core.__file__).parent
_CMAKE_FOLDER = _PACKAGE / "lib" / "cmake" / "matfac"
_INCLUDE_FOLDER = _PACKAGE / "include"
#: Exit code for input that cannot be used; a wrong call gives 2 (argparse's).
_FAILED = 1


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = build_parser()
    if arguments is None and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # titles a terminal cannot show
    options = parser.parse_args(arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = _show_warning
        try:
            code: int = options.run(options)
            sys.stdout.flush()
            return code
        except BrokenPipeError:  # the reader of our output has left: not an error of ours
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return _FAILED
        except (ValueError, TypeError, OSError, ImportError, ArithmeticError, MemoryError) as error:
            typed = sys.argv[1:] if arguments is None else arguments
            print(f"matfac: error: {as_typed(_message(error), typed)}", file=sys.stderr)
            return _FAILED


class _Folder(argparse.Action):
    """Print a folder of the package and exit, as ``--version`` does."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(nargs=0, default=argparse.SUPPRESS, **settings)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        if not self.const.is_dir():
            parser.error("this installation carries no C++ library: see docs/embedding.md")
        print(self.const)
        parser.exit()


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="matfac",
        description="Sparse matrix factorization for recommender systems.",
        epilog="matfac COMMAND --help tells the options of a command. Start with: matfac demo",
    )
    parser.add_argument("--version", action="version", version=f"matfac {_core.__version__}")
    for option, folder, what in (
        ("--cmake-dir", _CMAKE_FOLDER, "the CMake package, for -Dmatfac_DIR"),
        ("--include-dir", _INCLUDE_FOLDER, "the C++ headers"),
    ):
        parser.add_argument(
            option, action=_Folder, const=folder, help=f"print the folder of {what}, and exit"
        )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    train = _add(commands, "train", _commands.train, "fit a model to a file of ratings")
    train.add_argument("ratings", metavar="RATINGS", help="file of ratings")
    train.add_argument(
        "-o",
        "--output",
        metavar="MODEL",
        required=True,
        help="model file to write (safetensors); an older model there is replaced at the end",
    )
    _options.add_held_out(train)
    _options.add_model(train)
    _options.add_reading(train)

    evaluate = _add(commands, "evaluate", _commands.evaluate, "measure a model on held-out ratings")
    evaluate.add_argument("model", metavar="MODEL", help="model file")
    evaluate.add_argument("ratings", metavar="RATINGS", help="file of ratings")
    evaluate.add_argument(
        "-n", type=int, default=10, help="length of the lists that are measured (default: 10)"
    )
    _options.add_reading(evaluate)

    predict = _add(
        commands, "predict", _commands.predict, "estimate the ratings of (user, item) pairs"
    )
    predict.add_argument("model", metavar="MODEL", help="model file")
    predict.add_argument(
        "pairs",
        metavar="PAIRS",
        nargs="?",
        help="file of users and items; other columns are ignored",
    )
    predict.add_argument("--users", metavar="ID", nargs="+", help="instead of a file: users ...")
    predict.add_argument("--items", metavar="ID", nargs="+", help="... and as many items")
    _options.add_reading(predict, rating=False)

    recommend = _add(commands, "recommend", _commands.recommend, "list the best items for users")
    recommend.add_argument("model", metavar="MODEL", help="model file")
    who = recommend.add_mutually_exclusive_group(required=True)
    who.add_argument("--users", metavar="ID", nargs="+", help="raw ids of users")
    who.add_argument("--all-users", action="store_true", help="every user of the training")
    recommend.add_argument("-n", type=int, default=10, help="items per user (default: 10)")
    recommend.add_argument(
        "--include-seen", action="store_true", help="also list what the user rated in training"
    )
    recommend.add_argument(
        "--titles", metavar="FILE", help="file of item ids and titles (first and second column)"
    )

    export = _add(commands, "export", _commands.export_model, "write a model for other programs")
    export.add_argument("model", metavar="MODEL", help="model file")
    export.add_argument("-o", "--output", metavar="FILE", required=True, help="file to write")
    export.add_argument(
        "--format",
        metavar="NAME",
        choices=FORMATS,
        help=f"{', '.join(FORMATS)} (default: as the suffix of FILE says)",
    )

    text = "generate ratings, train, show quality and recommendations"
    _add(commands, "demo", _commands.demo, text)
    text = "show versions, instruction set and threads, or where a model comes from"
    info = _add(commands, "info", _commands.info, text)
    info.add_argument("model", metavar="MODEL", nargs="?", help="model file to describe")
    return parser


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: Callable[[argparse.Namespace], int],
    text: str,
) -> argparse.ArgumentParser:
    """Add a command with what all of them have."""
    command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    command.add_argument("--json", action="store_true", help="print JSON, for programs")
    command.set_defaults(run=run)
    return command


def _message(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        name = f"{error.filename}: " if error.filename else ""
        return f"{name}{error.strerror}"
    return str(error) or type(error).__name__


def _show_warning(message: Warning | str, *_details: object, **_named: object) -> None:
    print(f"matfac: warning: {as_typed(str(message))}", file=sys.stderr)
