"""Each notebook is made of its text, whose code runs on finished runs and a search."""

import json
import runpy
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl
import pytest

from arclight.run.execute import execute
from arclight.run_directory import create
from tests.conftest import PROJECT, Composed

TEXTS = sorted((PROJECT / "notebooks").glob("*.py"))
WORDS = {"look_inside_a_vit": ("model=vit", "model.patch_size=2", "model.d_model=24")}

each = pytest.mark.parametrize("text", TEXTS, ids=lambda f: f.stem)


def cells(text: str) -> list[tuple[str, str]]:
    """Kind and source of each cell of a text in the percent format."""
    found = []
    for part in text.removeprefix("# %%").split("\n# %%"):
        head, _, body = part.partition("\n")
        kind = "markdown" if "[markdown]" in head else "code"
        lines = body.strip("\n").splitlines()
        if kind == "markdown":
            lines = [line.removeprefix("#").removeprefix(" ") for line in lines]
        found.append((kind, "\n".join(lines)))
    return found


@each
def test_a_notebook_is_its_text_and_has_no_outputs(text: Path) -> None:
    notebook = json.loads(text.with_suffix(".ipynb").read_text())
    made = [(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]]
    assert made == cells(text.read_text()), f"{text.name} has changed: type make notebook"
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook["cells"])


@pytest.mark.usefixtures("plots")
@each
def test_its_code_runs(
    composed: Composed,
    made_once: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: Path,
) -> None:
    shown: list[object] = []
    here = SimpleNamespace(Image=Path, display=shown.append)
    monkeypatch.setitem(sys.modules, "IPython.display", here)
    words = WORDS.get(text.stem, ())
    config = composed(*words, "data.limit=64", "data.batch_size=32", "trainer.max_epochs=1")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert execute(create(None, tmp_path / "runs", "r", config, [], {})) == 0
    create(None, tmp_path / "runs", "newer", config, [], {})  # and has not finished
    shutil.copytree(made_once, tmp_path / "runs" / "search" / "small")
    with mpl.rc_context({"backend": "agg"}):
        runpy.run_path(str(text))
    from matplotlib import pyplot

    assert shown or pyplot.get_fignums()
    pyplot.close("all")
