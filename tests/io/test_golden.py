"""Golden files: models of every version, which load in every later one and answer as they did.

tools/golden.py writes those of a version in the making; of a released version none is ever changed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import matfac as mf
from matfac import _core

FOLDER = Path(__file__).resolve().parent / "golden"
FILES = sorted(FOLDER.rglob("*.safetensors"))
golden = pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
#: Other processors may round once where this one rounds twice.
ALLOWED = {"float32": 1e-5, "float64": 1e-13}


def answers(path: Path, word: str) -> list[list[str]]:
    lines = path.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    return [line.split(" ", 2) for line in lines if line.startswith(word + " ")]


def test_this_version_has_golden_files() -> None:
    names = {path.stem for path in FILES if path.parent.name == mf.__version__}
    assert len(names) >= 11, "run python tools/golden.py"
    for path in FILES:
        assert path.stat().st_size < 5000


@golden
def test_settings_come_back(path: Path) -> None:
    model = mf.load(path)
    assert type(model).__name__ == answers(path, "class")[0][1]
    for _, name, text in answers(path, "setting"):
        value: Any = getattr(model, name)
        assert (value if isinstance(value, str) else json.dumps(value)) == text, name
    settings = _core.ModelFile(path).settings()
    assert settings.loss == model.loss
    assert settings.regularization == model.regularization_
    assert model.n_iter_ == len(model.history_["iteration"]) == 3


@golden
def test_answers_stay(path: Path) -> None:
    model = mf.load(path)
    lines = path.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    stored = next(line.split()[1:] for line in lines if line.startswith("scores "))
    expected = np.array([float.fromhex(word) for word in stored])
    users, items = np.indices((len(model.user_ids_), len(model.item_ids_))).astype(np.int32)
    found = np.empty(users.size, model.item_factors_.dtype)
    _core.predict(*model._parameters(), users.ravel(), items.ravel(), found, 1)
    assert np.abs(found - expected).max() <= ALLOWED[model.dtype]
    best = [[int(word) for word in line.split()[1:]] for line in lines if line.startswith("best ")]
    assert [row[0] for row in best] == list(range(len(model.user_ids_)))
    items_of = model.item_ids_.tolist()
    for user, *codes in best:
        raw = model.user_ids_.tolist()[user]
        ranked = model.recommend(raw, 3, exclude_seen=model._seen is not None)
        kept = ranked.ids[ranked.scores > -np.inf].tolist()
        assert kept == [items_of[code] for code in codes]


@golden
def test_a_golden_file_saved_again_is_the_same_model(path: Path, tmp_path: Path) -> None:
    model = mf.load(path)
    model.save(tmp_path / "m", include_seen=model._seen is not None)
    before, after = (_core.load_model(file)["metadata"] for file in (path, tmp_path / "m"))
    assert before.items() <= after.items()  # there may be new settings, which have their defaults
    again = mf.load(tmp_path / "m")
    assert again.user_factors_.tobytes() == model.user_factors_.tobytes()
    assert again.history_ == model.history_


@golden
def test_the_public_library_reads_it(path: Path) -> None:
    from safetensors import safe_open

    model = mf.load(path)
    with safe_open(path, framework="numpy") as file:
        names = set(file.keys())
        assert {"user_factors", "item_factors"} <= names
        for name in ("user_factors", "item_factors", "user_biases", "item_biases"):
            array = getattr(model, name + "_")
            assert (array is None) == (name not in names)
            if array is not None:
                assert file.get_tensor(name).tobytes() == array.tobytes()
        metadata = file.metadata()
    assert float.fromhex(metadata["global_mean"]) == model.global_mean_
    assert (metadata["loss"], metadata["estimator"]) == (model.loss, type(model).__name__)
    for side, ids in (("user_ids", model.user_ids_), ("item_ids", model.item_ids_)):
        assert (side in names) == (ids.dtype.kind == "i")
        assert (f"{side}.text" in names) == (ids.dtype.kind != "i")
    assert ("seen.items" in names) == (model._seen is not None)
