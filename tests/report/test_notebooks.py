"""The code of each notebook runs on a finished run and a search."""

import json
import shutil
from pathlib import Path

import pytest

from arclight.run.execute import execute
from arclight.run_directory import create
from tests.conftest import PROJECT, Composed


@pytest.mark.parametrize(
    "file", sorted((PROJECT / "notebooks").glob("*.ipynb")), ids=lambda f: f.stem
)
def test_its_code_runs(
    composed: Composed,
    made_once: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    file: Path,
) -> None:
    config = composed("data.limit=64", "data.batch_size=32", "trainer.max_epochs=1")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert execute(create(None, tmp_path / "runs", "r", config, [], {})) == 0
    create(None, tmp_path / "runs", "newer", config, [], {})  # and has not finished
    shutil.copytree(made_once, tmp_path / "runs" / "search" / "small")
    names: dict[str, object] = {}
    for cell in json.loads(file.read_text())["cells"]:
        code = "".join(cell["source"])
        if cell["cell_type"] == "code" and "IPython" not in code:
            exec(code, names)
