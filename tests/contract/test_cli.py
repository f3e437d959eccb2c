"""The command line: results on standard output, all else on standard error, honest exit codes."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import matfac as mf
from conftest import COMMANDS, bits, text_of
from matfac import _core
from matfac._cli import main

DATA = Path(os.environ.get("MATFAC_DATA") or Path(__file__).parents[3] / "shared" / "data")
FEW = ("--n-factors", "4", "--max-iter", "2")


@pytest.fixture
def succeed(call):
    def succeed(*arguments):
        code, out, err = call(*arguments)
        assert code == 0, err
        return out

    return succeed


@pytest.fixture
def fail(call, tmp_path):
    """It says what is wrong, shows no traceback, prints no result and writes no file."""

    def fail(*arguments, match):
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        code, out, err = call(*arguments)
        assert code == 1
        assert re.search(match, err.splitlines()[-1]), err
        assert err.splitlines()[-1].startswith("matfac: error: ") and "Traceback" not in err
        assert out == ""
        assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before

    return fail


@pytest.fixture
def named(R, tmp_path):
    """A model whose users are strings, some of them looking like integers; items are integers."""
    users, items, values = R.to_arrays()
    users = [f"{u}" if u % 2 else f"é{u}" for u in users.tolist()]
    path = tmp_path / "named.safetensors"
    model = mf.MatrixFactorization(4, max_iter=2).fit(mf.Ratings.from_arrays(users, items, values))
    model.save(path)
    return path


# ---- help ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    out = capsys.readouterr().out
    assert left.value.code == 0
    assert out.startswith(f"usage: matfac {command}") and "--json" in out


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "fly",
        "train x",
        "train x -o y --n-factors many",
        "train x -o y --alpha 1",
        "train x -o y --test z --test-fraction 0.1",
        "recommend m",
    ],
)
def test_a_wrong_call_is_told_from_wrong_input(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        main(arguments.split())
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith("usage: matfac")


def test_options_of_train_are_the_parameters_and_show_their_defaults(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    out = " ".join(capsys.readouterr().out.split())
    for name, value in mf.MatrixFactorization().get_params().items():
        if name in ("init", "verbose"):
            continue
        shown = {None: "by the ratings", True: "yes", False: "no"}.get(value, value)
        shown = value if type(value) in (int, float) else shown
        flag = "--" + name.replace("_", "-")
        assert re.search(rf"{flag}\b[^:]*?.*?\(default: {re.escape(str(shown))}\)", out), name


# ---- train ---------------------------------------------------------------------------------------

REAL = [
    ("ml-100k/u.data", 943, 1682, 100_000, "tabs", "user = column 0"),
    ("ml-100k/u1.base", 943, 1650, 80_000, "tabs", "timestamp = column 3"),
    ("ml-latest-small/ratings.csv", 671, 9066, 100_004, "commas, with a header", "'movieId'"),
    ("libmf-demo/real_matrix.tr.txt", None, None, 5000, "spaces", "rating = column 2"),
    ("libmf-demo/binary_matrix.tr.txt", None, None, 4937, "spaces", "rating = column 2"),
    ("libmf-demo/all_one_matrix.tr.txt", None, None, 5172, "spaces", "rating = column 2"),
    ("hetrec2011-lastfm-2k/user_artists.dat", 1892, 17632, 92_834, "with a header", "'weight'"),
]


@pytest.mark.parametrize(
    ("name", "n_users", "n_items", "nnz", "layout", "column"), REAL, ids=[row[0] for row in REAL]
)
def test_real_files_are_trained_on(name, n_users, n_items, nnz, layout, column, call, tmp_path):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not there")
    code, out, err = call("train", path, "-o", tmp_path / "m", *FEW, "--json")
    assert code == 0
    assert f"read {path}: text separated by" in err and layout in err and column in err
    result = json.loads(out)
    assert result["n_ratings"] == nnz
    if n_users:
        assert (result["n_users"], result["n_items"]) == (n_users, n_items)
    assert np.isfinite(mf.load(tmp_path / "m").predict(mf.Ratings.read(path))).all()


def as_files(R, folder):
    users, items, values = R.to_arrays()
    frame = pd.DataFrame({"user": users, "item": items, "rating": values})
    frame.to_parquet(folder / "r.parquet")
    with gzip.open(folder / "r.csv.gz", "wt") as file:
        file.write(text_of(R))
    for name, separator in (
        ("r.csv", ","),
        ("r.tsv", "\t"),
        ("r.txt", " "),
        ("r.dat", "::"),
        ("r", ";"),
    ):
        (folder / name).write_text(text_of(R, separator, header=""))
    return [path for path in sorted(folder.iterdir()) if path.name.startswith("r")]


def test_every_format_gives_the_same_model(R, succeed, tmp_path):
    models = []
    for path in as_files(R, tmp_path):
        succeed("train", path, "-o", tmp_path / "m", *FEW)
        models.append(mf.load(tmp_path / "m"))
    assert len(models) == 7
    assert all(bits(*m._parameters()) == bits(*models[0]._parameters()) for m in models)
    assert all(np.array_equal(m.item_ids_, R.item_ids) for m in models)


def test_train_reports_what_it_did(ratings, call, tmp_path, R):
    out = tmp_path / "m.safetensors"
    _, text, err = call(
        "train", ratings, "-o", out, "--test-fraction", 0.2, "--solver", "sgd", "--n-factors", 3,
        "--max-iter", 4, "--regularization", 0.5, 2, "--bias-regularization", 3, "--random-state",
        9, "--dtype", "float64", "--no-biases", "--json",
    )  # fmt: skip
    result = json.loads(text)
    train, test = mf.Ratings.read(ratings, dtype="float64").split(0.2, random_state=9)
    expected = mf.MatrixFactorization(
        3, solver="sgd", max_iter=4, regularization=(0.5, 2.0), bias_regularization=3.0,
        random_state=9, dtype="float64", biases=False,
    ).fit(train)  # fmt: skip
    loaded = mf.load(out)
    assert np.array_equal(loaded.predict(R), expected.predict(R))
    assert (result["model"], result["n_iter"], result["stop_reason"]) == (str(out), 4, "max_iter")
    assert (result["n_ratings"], result["n_test"]) == (720, 180)
    assert result["eval_rmse"] == pytest.approx(expected.score(test), rel=1e-12)
    assert result["train_rmse"] == loaded.history_["train_rmse"][-1]
    assert "rating = 'rating'" in err and "60 users x 40 items, 900 ratings" in err
    _, text, _ = call("train", ratings, "-o", out, *FEW)
    assert re.search(r"^train_rmse +0\.\d{4}$", text, re.MULTILINE)


def test_train_with_held_out_file_and_early_stopping(ratings, R, succeed, tmp_path):
    test = tmp_path / "test.csv"
    test.write_text(text_of(R.split(0.2, random_state=1)[1]))
    out = succeed(
        "train", ratings, "-o", tmp_path / "m", "--test", test, "--early-stopping", "--patience", 2,
        "--regularization", 0, "--solver", "sgd", "--max-iter", 50, "--json",
    )  # fmt: skip
    result, loaded = json.loads(out), mf.load(tmp_path / "m")
    assert result["n_test"] == 180 and result["n_iter"] == loaded.n_iter_ <= 50
    assert result["eval_rmse"] == pytest.approx(min(loaded.history_["eval_rmse"]), rel=1e-5)
    assert result["train_rmse"] == loaded.history_["train_rmse"][loaded.best_iteration_ - 1]


def test_columns_can_be_chosen(R, call, tmp_path):
    users, items, values = R.to_arrays()
    frame = pd.DataFrame({"stars": values, "film": items, "who": users, "page": 1})
    frame.to_csv(tmp_path / "r.csv", index=False)
    columns = ("--user", "who", "--item", "1", "--rating", "stars")
    assert call("train", tmp_path / "r.csv", "-o", tmp_path / "m", *columns, *FEW)[0] == 0
    assert np.array_equal(mf.load(tmp_path / "m").user_ids_, R.user_ids)
    assert call("train", tmp_path / "r.csv", "-o", tmp_path / "m", *columns, "--string-ids")[0] == 0
    assert mf.load(tmp_path / "m").user_ids_.dtype.kind == "U"


def test_duplicates_are_warned_of(call, tmp_path):
    (tmp_path / "r.csv").write_text("user,item,rating\n1,2,3\n1,2,5\n2,3,1\n")
    code, _, err = call("train", tmp_path / "r.csv", "-o", tmp_path / "m", *FEW)
    assert code == 0 and re.search("matfac: warning: .*(1, 2|user 1)", err)
    code, _, err = call("train", tmp_path / "r.csv", "-o", tmp_path / "m", "--duplicates", "mean")
    assert code == 0 and "warning" not in err
    assert mf.load(tmp_path / "m").global_mean_ == pytest.approx(2.5)


# ---- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("user,item,rating\n1,2,3\n1,oops\n3,4,5\n", "line 3.*too few columns"),
        ("user,item,rating\n1,2,3\n1,4,good\n3,4,5\n", "line 3.*'good' is not a number"),
        ("user,item,rating\n1,2,3\n1,4,nan\n3,4,5\n", "line 3"),
        ("user,item,rating\n1,2,3\n1,4,inf\n3,4,5\n", "line 3.*not finite"),
        ("user,item,rating\n1,2,3\n,4,3\n3,4,5\n", "line 3.*the user is missing"),
        ("", "empty"),
        ("\n\n", "no ratings|empty"),
    ],
)
def test_a_file_with_junk_is_refused_by_name_and_line(content, match, fail, tmp_path):
    path = tmp_path / "r.csv"
    path.write_text(content)
    fail("train", path, "-o", tmp_path / "m", match=rf"r\.csv.*({match})")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--solver", "svd"], "unknown solver 'svd': choose one of 'als', 'sgd', 'batch'"),
        (["--loss", "nonsense"], "unknown loss 'nonsense'"),
        (["--n-factors", "0"], "--n-factors must be"),
        (["--regularization", "-1"], "regularization .* not -1"),
        (["--regularization", "1", "2", "3"], "--regularization .* pair"),
        (["--learning-rate", "nan"], "--learning-rate must be"),
        (["--dtype", "float16"], "--dtype float16: expected"),
        (["--n-threads", "-2"], "--n-threads -2 must"),
        (["--test-fraction", "1.5"], "--test-fraction 1.5 must be between 0 and 1"),
        (["--no-rating"], "nothing to learn: add .* --loss implicit_squared, bpr or warp"),
        (["--no-rating", "--loss", "logistic"], "nothing to learn"),
        (["--early-stopping"], "--early-stopping needs .* add --test FILE or --test-fraction"),
    ],
    ids=" ".join,
)
def test_bad_parameters_are_refused_before_anything_is_read(options, match, fail, tmp_path):
    fail("train", "not-read.csv", "-o", tmp_path / "m", *options, match=match)


def test_files_that_are_not_there(fail, tmp_path, ratings, model):
    gone = tmp_path / "gone"
    fail("train", gone, "-o", tmp_path / "m", match=r"no file '.*gone'")
    fail("train", ratings, "-o", tmp_path / "m", "--test", gone, match=r"no file '.*gone'")
    fail("evaluate", gone, ratings, match="gone.*No such file")
    fail("evaluate", model, gone, match=r"no file '.*gone'")
    fail("predict", model, gone, match=r"no file '.*gone'")
    fail("recommend", gone, "--users", 1, match="gone.*No such file")
    fail("recommend", model, "--users", 1, "--titles", gone, match="gone: No such file")


def test_places_that_cannot_be_written_are_refused_before_anything_is_read(fail, tmp_path, ratings):
    fail("train", "not-read.csv", "-o", tmp_path / "x" / "m", match="folder .* does not exist")
    fail("train", "not-read.csv", "-o", tmp_path, match="is a folder; name a file")
    fail("train", ratings, "-o", ratings, match=r"ratings.csv: the model would overwrite the ratin")
    fail("train", "x", "--test", ratings, "-o", ratings, match="would overwrite the ratings")
    if os.path.exists(os.devnull) and os.name == "posix":
        fail("train", "not-read.csv", "-o", os.devnull, match="not a regular file")


@pytest.mark.skipif(os.name != "posix", reason="Windows asks for a privilege")
def test_links_that_lead_nowhere_are_refused_before_anything_is_read(
    fail, succeed, tmp_path, ratings
):
    link, own = tmp_path / "link", tmp_path / "own"
    link.symlink_to(tmp_path / "gone" / "m")
    own.symlink_to(own)
    fail("train", "not-read.csv", "-o", link, match="gone: the folder of the output does not")
    fail("train", "not-read.csv", "-o", own, match="own: the output is a symbolic link")
    (tmp_path / "gone").mkdir()
    succeed("train", ratings, "-o", link, "--n-factors", 2, "--max-iter", 1)
    assert (tmp_path / "gone" / "m").is_file()
    assert link.is_symlink()


def test_files_that_are_no_models(fail, tmp_path, ratings, model):
    fail("recommend", ratings, "--users", 1, match=r"ratings.csv.*not a safetensors file")
    content = model.read_bytes()
    model.write_bytes(content[:-1])
    fail("evaluate", model, ratings, match=r"model\.safetensors")
    model.write_bytes(content[:-5] + b"\x01" + content[-4:])
    fail("evaluate", model, ratings, match=r"model\.safetensors.*altered")


def test_a_failed_training_leaves_the_earlier_model(ratings, model, fail):
    fail("train", ratings, "-o", model, "--test-fraction", 1.5, match="between 0 and 1")
    ratings.write_text("user,item,rating\n1,2,3\n1,4,oops\n")
    fail("train", ratings, "-o", model, match="line 3")


def test_messages_name_options_not_parameters(fail, tmp_path):
    path, out = tmp_path / "r.csv", tmp_path / "m"
    path.write_text("1,2\n3,4\n")
    fail("train", path, "-o", out, match="--separator ... .*or --no-rating if each row")
    path.write_text("1,2,3\n1,2,4\n")
    fail("train", path, "-o", out, "--duplicates", "error", match="choose --duplicates last")
    again = r"1 rating repeats .* rating 1 of .*r\.csv \(3\) and again at rating 2 of .*r\.csv"
    fail("train", path, "-o", out, "--duplicates", "error", match=again)
    fail("train", path, "-o", out, "--encoding", "klingon", match="--encoding klingon: unknown")
    named = tmp_path / "header=False n_factors.csv"
    named.write_text("1,2\n")
    fail("train", named, "-o", out, match=r"/header=False n_factors\.csv: line 1: .*--no-rating")
    folder = tmp_path / "n_factors"  # a path is no parameter
    fail("train", folder / "user=.csv", "-o", out, match=r"n_factors.user=\.csv")


def test_what_is_no_model_is_not_replaced(ratings, model, fail, succeed, tmp_path):
    precious = tmp_path / "precious.csv"
    precious.write_text("1,2,3\n")
    fail("train", "not-read.csv", "-o", precious, match=r"precious\.csv: this file is no model")
    fail("train", "not-read.csv", "-o", "", match="the output has no name")
    succeed("train", ratings, "-o", model, *FEW)
    fail("export", model, "-o", precious, "--format", "npz", match="no export, and would be lost")
    fail("evaluate", model, ratings, "--no-rating", match="--no-rating: this model is one of rat")
    precious.write_text("")  # as mktemp makes it
    succeed("train", ratings, "-o", precious, *FEW)


# ---- evaluate, predict ---------------------------------------------------------------------------


def test_evaluate_measures(model, R, succeed, tmp_path):
    path = tmp_path / "test.csv"
    path.write_text(text_of(R) + "1000,1,3\n1000,2,3\n1,2000,4\n")
    result = json.loads(succeed("evaluate", model, path, "--json"))
    test = mf.Ratings.read(path)
    loaded = mf.load(model)
    assert result["rmse"] == pytest.approx(loaded.score(test), rel=1e-12)
    assert result["mae"] == pytest.approx(mf.metrics.mae(test.values, loaded.predict(test)))
    assert result["n_ratings"] == 903
    assert result["n_ratings_of_unknown_users"] == 2
    assert result["n_ratings_of_unknown_items"] == 1
    assert re.search(r"^rmse +\d\.\d{4}$", succeed("evaluate", model, path), re.MULTILINE)


def test_predict_keeps_the_order_of_the_file(model, ratings, R, succeed, tmp_path):
    pairs = [(5, 7), (3, 1), (5, 7), (0, 39), (999, 1), (3, 999), (59, 0)]
    path = tmp_path / "pairs.csv"
    path.write_text("user,item\n" + "".join(f"{u},{i}\n" for u, i in pairs))
    rows = list(csv.DictReader(io.StringIO(succeed("predict", model, path))))
    assert [(int(row["user"]), int(row["item"])) for row in rows] == pairs
    expected = mf.load(model).predict(*map(np.array, zip(*pairs, strict=True)))
    assert [float(row["prediction"]) for row in rows] == pytest.approx(expected.tolist(), rel=1e-5)
    found = json.loads(succeed("predict", model, path, "--json"))
    assert [entry["prediction"] for entry in found] == expected.tolist()
    assert [(entry["user"], entry["item"]) for entry in found] == pairs
    rows = json.loads(succeed("predict", model, ratings, "--json"))  # other columns are ignored
    assert [row["prediction"] for row in rows] == mf.load(model).predict(R).tolist()


def test_predict_tells_of_pairs_that_are_not_known(model, call):
    code, out, err = call("predict", model, "--users", 1, 2, "--items", 3, -4)
    assert (
        code == 0 and len(out.splitlines()) == 3 and "matfac: warning: 1 of 2 pairs have a" in err
    )
    assert call("predict", model, "--users", 1, "--items", 3)[2] == ""


def test_predict_pairs_of_the_command_line(model, succeed, fail):
    out = succeed("predict", model, "--users", 1, 2, "--items", 3, -4)
    assert out.splitlines()[0] == "user,item,prediction"
    assert [line.rsplit(",", 1)[0] for line in out.splitlines()[1:]] == ["1,3", "2,-4"]
    fail("predict", model, match="either a file of pairs, or --users and --items")
    fail("predict", model, "x", "--users", 1, "--items", 1, match="either a file of pairs, or")
    fail("predict", model, "--users", 1, 2, "--items", 3, match="--users names 2 and --items 1")
    fail("predict", model, "--users", 1, match="--users names 1 and --items 0")
    fail("predict", model, "--users", "a", "--items", 3, match="user 'a': the users .* integers")


def test_a_file_that_happens_to_hold_integers_only(named, R, succeed, tmp_path):
    users, items, values = R.to_arrays()
    odd = users % 2 == 1
    path = tmp_path / "test.csv"
    path.write_text(text_of(mf.Ratings.from_arrays(users[odd], items[odd], values[odd])))
    loaded = mf.load(named)
    result = json.loads(succeed("evaluate", named, path, "--json"))
    assert result["n_ratings"] == odd.sum() and result["n_ratings_of_unknown_users"] == 0
    rows = json.loads(succeed("predict", named, path, "--json"))
    assert [row["user"] for row in rows] == users[odd].astype(str).tolist()
    expected = loaded.predict(users[odd].astype(str), items[odd])
    assert [row["prediction"] for row in rows] == expected.tolist()


def test_a_file_with_ids_of_another_kind_is_refused(model, R, fail, tmp_path):
    path = tmp_path / "test.csv"
    path.write_text("user,item,rating\n1,2,3\n007,2,3\n")
    fail("evaluate", model, path, match="user '007': the users of this model are integers")
    fail("predict", model, path, match="user '007': the users of this model are integers")
    path.write_text("user,item,rating\n1,film,3\n")
    fail("evaluate", model, path, match="item 'film': the items of this model are integers")


# ---- recommend -----------------------------------------------------------------------------------


def test_recommend_lists_unseen_items(model, R, succeed):
    loaded = mf.load(model)
    found = json.loads(succeed("recommend", model, "--users", 3, 5, "-n", 4, "--json"))
    assert [entry["user"] for entry in found] == [3, 5]
    for entry, ids, scores in zip(found, *loaded.recommend([3, 5], 4), strict=True):
        assert [item["item"] for item in entry["items"]] == ids.tolist()
        assert [item["score"] for item in entry["items"]] == scores.tolist()
    text = succeed("recommend", model, "--users", 3, "-n", 4)
    ids, scores = loaded.recommend(3, 4)
    assert text == "user 3\n" + "".join(
        f"  {score:8.4f}  {item}\n" for item, score in zip(ids, scores, strict=True)
    )
    everything = json.loads(
        succeed("recommend", model, "--users", 3, "-n", 99, "--include-seen", "--json")
    )
    assert len(everything[0]["items"]) == 40  # and no fillers
    everybody = json.loads(succeed("recommend", model, "--all-users", "--json"))
    assert [entry["user"] for entry in everybody] == list(range(60))


def test_recommend_errors(model, named, fail, R, tmp_path):
    unknown = r"user 99 is not in the model; it knows 60 users, from 0 to 59"
    fail("recommend", model, "--users", 1, 99, match=unknown)
    for text in ("x", "1.0", "01", "1_0", "99999999999999999999"):
        fail("recommend", model, "--users", text, match=f"user '{text}': the users .* are integers")
    fail("recommend", named, "--users", "nobody", match="user 'nobody' is not in the model")
    fail("recommend", model, "--users", 1, "-n", 0, match="n=0 must be at least 1")
    mf.load(model).save(tmp_path / "bare", include_seen=False)
    fail("recommend", tmp_path / "bare", "--users", 1, match=r"bare.*add --include-seen")


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ('movieId,title,genres\n0,"Zéro, the (1994)",Drama|War\n1,One,Comedy\n', "utf-8"),
        ("0|Zéro, the (1994)|01-Jan-1994||x\n1|One|\n", "latin-1"),
        ("id\tname\turl\n0\tZéro, the (1994)\thttp://x\n1\tOne\thttp://y\n", "utf-8-sig"),
        ("0::Zéro, the (1994)::Drama|War\r\n1::One::Comedy\r\n", "latin-1"),
        ("0;Zéro, the (1994)\n1;One\n\n", "utf-8"),
    ],
    ids=["commas", "bars", "tabs", "double colons", "semicolons"],
)
def test_titles_are_shown(content, encoding, model, succeed, tmp_path):
    titles = tmp_path / "titles"
    titles.write_bytes(content.encode(encoding))
    ask = ("recommend", model, "--users", 3, "-n", 40, "--include-seen", "--titles", titles)
    found = json.loads(succeed(*ask, "--json"))[0]["items"]
    assert {entry["item"]: entry.get("title") for entry in found} == {
        item: {0: "Zéro, the (1994)", 1: "One"}.get(item) for item in range(40)
    }
    assert re.search(r"^ +\d\.\d{4}  0  Zéro, the \(1994\)$", succeed(*ask), re.MULTILINE)


def test_titles_that_belong_to_other_items_are_told(model, call, tmp_path):
    (tmp_path / "t").write_text("A title,1\n")
    code, out, err = call("recommend", model, "--users", 1, "--titles", tmp_path / "t")
    assert code == 0 and out.startswith("user 1\n") and "none of its ids is an item" in err


@pytest.mark.parametrize(("content", "match"), [("", "empty"), ("1\n2\n", "separated by")])
def test_files_without_titles_are_refused(content, match, model, fail, tmp_path):
    (tmp_path / "t").write_text(content)
    fail("recommend", model, "--users", 1, "--titles", tmp_path / "t", match=match)


@pytest.mark.parametrize(
    ("ratings", "titles", "user"),
    [
        ("ml-latest-small/ratings.csv", "ml-latest-small/movies.csv", 15),
        ("ml-100k/u.data", "ml-100k/u.item", 1),
        ("hetrec2011-lastfm-2k/user_artists.dat", "hetrec2011-lastfm-2k/artists.dat", 2),
    ],
)
def test_real_titles(ratings, titles, user, succeed, tmp_path):
    if not (DATA / titles).exists():
        pytest.skip(f"{titles} is not there")
    succeed("train", DATA / ratings, "-o", tmp_path / "m", *FEW)
    out = succeed(
        "recommend", tmp_path / "m", "--users", user, "-n", 5, "--titles", DATA / titles, "--json"
    )
    found = json.loads(out)[0]["items"]
    assert len(found) == 5 and all(len(entry["title"]) > 1 for entry in found)


# ---- demo, info ----------------------------------------------------------------------------------


def test_the_demo_shows_what_a_newcomer_wants_to_see(succeed):
    out = succeed("demo")
    error, mean_only = map(float, re.search(r"test RMSE ([\d.]+); .*: ([\d.]+)", out).groups())
    assert error < 0.85 * mean_only
    assert "best unseen items for user" in out and "most similar to item" in out
    result = json.loads(succeed("demo", "--json"))
    assert result["eval_rmse"] < 0.85 * result["mean_only_rmse"]
    assert len(result["recommended"]) == len(result["similar"]) == 5


def test_info(succeed):
    result = json.loads(succeed("info", "--json"))
    assert result.items() >= mf.runtime_info().items()
    assert result["version"] == mf.__version__ and result["numpy"] == np.__version__
    shown = succeed("info")
    assert all(re.search(rf"^{key} +\S", shown, re.MULTILINE) for key in result)


def test_info_on_a_model_says_where_it_comes_from(model, named, succeed, fail, tmp_path):
    fitted = mf.load(model)
    result = json.loads(succeed("info", model, "--json"))
    assert result["checksum"].encode() in model.read_bytes()
    expected = {
        "model": str(model),
        "library_version": mf.__version__,
        "n_users": 60,
        "n_items": len(fitted.item_ids_),
        "n_factors": 4,
        "dtype": "float32",
        "n_seen": 900,
        "solver": fitted.solver,
        "loss": "squared",
        "biases": True,
        "max_iter": 2,
        "n_iter_": 2,
        "regularization_": list(fitted.regularization_),
    }
    assert result.items() >= expected.items()
    assert not result.keys() & {"history_", "regularization", "version"}
    shown = succeed("info", model)
    assert all(re.search(rf"^{key} +\S", shown, re.MULTILINE) for key in result)
    # Another model, another checksum; what is no model, or no longer the same, is refused.
    assert json.loads(succeed("info", named, "--json"))["checksum"] != result["checksum"]
    data = model.read_bytes()
    model.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    fail("info", model, match="altered")
    fail("info", tmp_path / "gone", match="No such file|does not exist")


def test_info_on_a_model_of_another_program(succeed, tmp_path):
    one = np.ones((1, 2), "float32")
    ids = np.zeros(1, np.int64)
    about = {"solver": "mine", "tempo": "0.5", "note": "{not JSON", "checksums": "many"}
    _core.save_model(str(tmp_path / "m"), one, one, None, None, 0.0, ids, ids, None, about)
    result = json.loads(succeed("info", tmp_path / "m", "--json"))
    assert (result["solver"], result["tempo"], result["note"]) == ("mine", 0.5, "{not JSON")
    assert "n_seen" not in result
