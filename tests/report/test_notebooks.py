"""The code of each notebook runs on a finished run."""

import json
from pathlib import Path

import pytest

from arclight.run.directory import create
from arclight.run.execute import execute
from tests.conftest import PROJECT, Composed


@pytest.mark.parametrize(
    "file", sorted((PROJECT / "notebooks").glob("*.ipynb")), ids=lambda f: f.stem
)
def test_its_code_runs(
    composed: Composed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    config = composed("data.limit=64", "data.batch_size=32", "trainer.max_epochs=1")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert execute(create(None, tmp_path / "runs", "r", config, [], {})) == 0
    names: dict[str, object] = {}
    for cell in json.loads(file.read_text())["cells"]:
        code = "".join(cell["source"])
        if cell["cell_type"] == "code" and "IPython" not in code:
            exec(code, names)
