"""Before a run is repeated, all changes are printed, code first."""

from pathlib import Path
from typing import Any

import pytest

from arclight.provenance.code import digests
from arclight.provenance.manifest import describe, hardware
from arclight.run_directory import create
from arclight.use.reproduce import reproduce
from tests.conftest import Composed

CHANGED = {
    "arclight_zoo/image/cnn.py": "0123456789abcdef",
    "arclight_zoo/image/gone.py": "0123456789abcdef",
}
NEW = {k: v for k, v in digests().items() if k != "arclight_zoo/image/cnn.py"}
GIT = {"commit": "c0ffee", "branch": "other", "patch": "diff"}
GONE_ON = [
    {
        "time": "2026-01-01",
        "git": {},
        "code": {"arclight_zoo/image/cnn.py": digests()["arclight_zoo/image/cnn.py"]},
    }
]


@pytest.mark.parametrize(
    ("then", "lines"),
    [
        ({}, ["since: nothing: code, packages and hardware are the same"]),
        (
            {"code": {**digests(), **CHANGED}},
            ["since: code: arclight_zoo/image/cnn.py, arclight_zoo/image/gone.py (gone)"],
        ),
        ({"code": NEW}, ["since: code: arclight_zoo/image/cnn.py (new)"]),
        ({"code": None}, ["since: code: not recorded, it may have changed"]),
        (
            {"code": {**digests(), "arclight_zoo/image/cnn.py": "0"}, "continued": GONE_ON},
            [
                "since: nothing: code, packages and hardware are the same",
                "during the run, on 2026-01-01: code: arclight_zoo/image/cnn.py",
            ],
        ),
        (
            {"code": {**digests(), "arclight/seeds.py": "0"}, "python": "3.0.0", "git": GIT},
            [
                "since: code: arclight/seeds.py",
                "since: git.",
                "since: git.",
                "since: git.",
                "since: python",
            ],
        ),
    ],
)
def test_changes_are_printed_first(
    composed: Composed,
    tmp_path: Path,
    then: dict[str, Any],
    lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = composed("deterministic=true")
    manifest = {**describe(config), "hardware": hardware(), **then}
    if manifest["code"] is None:
        del manifest["code"]  # as before there were digests
    run = create(tmp_path / "run", tmp_path, "run", config, [], manifest)
    run.update_summary(status="finished")
    monkeypatch.setattr("arclight.use.reproduce.execute", lambda _: 7)
    monkeypatch.setattr("arclight.use.reproduce._final_weights", lambda _: {})
    assert reproduce(str(run.path)) == 7
    said = capsys.readouterr().out.splitlines()
    assert len(said) == len(lines)
    for line, wanted in zip(said, lines, strict=True):
        assert line.startswith(f"changed {wanted}")
