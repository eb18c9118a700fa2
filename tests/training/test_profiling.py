"""debug=profile leaves a trace that opens, and a page that adds up."""

import gc
import json
import re
from pathlib import Path

import pytest

from arclight.run.directory import create
from arclight.run.execute import execute
from tests.conftest import Composed

SMALL = ("model=vit", "model.d_model=16", "model.n_layers=1", "data.limit=96", "data.batch_size=8")


def test_a_profiled_run_says_where_its_time_went(
    composed: Composed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arclight.run.fit._draw", lambda *_: [])
    config = composed(*SMALL, "debug=profile", "callbacks.profile.batches=3")
    run = create(tmp_path / "run", tmp_path, "run", config, [], {})
    assert execute(run) == 0
    trace = json.loads((run.path / "profile" / "trace.json").read_text())
    names = {str(event.get("name")) for event in trace["traceEvents"]}
    assert {"part: data", "part: forward and loss", "part: backward", "aten::addmm"} <= names
    assert len([n for n in names if n.startswith("ProfilerStep#")]) == 3
    page = (run.path / "profile" / "table.txt").read_text()
    assert page.strip() in run.log_file.read_text()
    parts = dict(re.findall(r"^(\S.*?)\s{2,}([\d.]+)", page.split("\n\n")[0], re.MULTILINE))
    whole = float(parts.pop("together, the mean of 3 batches"))
    assert sum(map(float, parts.values())) == pytest.approx(whole, rel=0.01)
    assert float(parts["forward and loss"]) > 0
    assert gc.get_freeze_count() == 0  # what training set aside is collected again


def test_a_run_too_short_to_profile_says_so(
    composed: Composed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arclight.run.fit._draw", lambda *_: [])
    config = composed(*SMALL, "debug=profile", "trainer.max_epochs=1", "trainer.max_steps=4")
    run = create(tmp_path / "run", tmp_path, "run", config, [], {})
    assert execute(run) == 0
    assert "fewer than 16 batches" in run.log_file.read_text()
    assert not (run.path / "profile").exists()
