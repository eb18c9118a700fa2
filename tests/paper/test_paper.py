"""A paper on run directories: verdicts, exit codes, errors, evidence, and the artifact."""

import csv
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from arclight.errors import UserError
from arclight.paper.judge import exit_code
from arclight.paper.report_page import to_html
from arclight.paper.run_paper import rebuild, run_paper
from arclight.paper.settings import Paper
from arclight.run_directory import RunDirectory
from tests.conftest import CONFIGS
from tests.paper.conftest import TINY, Filled, make, planned

CHECK = (*TINY, "paper.check=true")
WIDE, NARROW = [0.95, 0.96, 0.95], [0.80, 0.81, 0.79]
ONLY = "paper.claims=['{}']"


@pytest.fixture(autouse=True)
def pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are drawn only in tests that use them."""
    if request.function not in (test_everything_is_written_and_nothing_is_dropped,):
        monkeypatch.setattr("arclight.paper.write.draw", lambda *_: [])


def checked(folder: Path, *words: str) -> int:
    return run_paper([*CHECK, f"paper.dir={folder}", *words])


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


CLAIMS = {
    "wide > narrow on test/accuracy": "holds",
    "narrow > wide on test/accuracy": "fails",
    "wide == narrow on test/accuracy within 0.5": "holds",
    "wide == narrow on test/accuracy within 0.01": "fails",
    "wide test/accuracy = 0.95 +- 0.05": "holds",
    "wide test/accuracy = 0.5 +- 0.03": "fails",
    "wide > narrow on test/accuracy by 0.15": "undecided",
    "parameters(wide) = 5.2K +- 1%": "holds",
    "parameters(wide) = 25.6M +- 1%": "fails",
    "wide > narrow on test/nothing": "undecided",
}


def test_claims_hold_fail_or_are_undecided(filled: Filled) -> None:
    folder = filled(wide=WIDE, narrow=NARROW)
    listed = ",".join(f"'{claim}'" for claim in CLAIMS)
    assert checked(folder, f"paper.claims=[{listed}]") == 1
    assert {row["claim"]: row["holds"] for row in rows(folder / "claims.csv")} == CLAIMS


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [(["holds"], 0), (["holds", "undecided"], 3), (["undecided", "fails"], 1), ([], 0)],
)
def test_the_exit_code_says_whether_all_hold(verdicts: list[str], code: int) -> None:
    assert exit_code([SimpleNamespace(holds=one) for one in verdicts]) == code  # type: ignore[misc]


def test_too_few_seeds_are_undecided_and_the_needed_number_is_printed(
    filled: Filled, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = filled(wide=[0.90, 0.97], narrow=[0.89, 0.90])
    assert checked(folder, ONLY.format("wide > narrow on test/accuracy")) == 3
    said = capsys.readouterr().out
    assert "80% power needs" in said
    assert "more seeds" in said
    assert "missing: wide on all, seed 2" in said


def test_everything_is_written_and_nothing_is_dropped(filled: Filled) -> None:
    folder = filled(wide=[0.95, None, 0.96], narrow=NARROW)
    checked(folder)
    wide, narrow = rows(folder / "table.csv")
    assert (wide["finished"], wide["diverged"], wide["missing"]) == ("2", "1", "0")
    assert (narrow["finished"], narrow["best"]) == ("3", "False")
    table = (folder / "table.md").read_text()
    assert "2 of 3, 1 diverged" in table
    assert "(1 of 3 lost)" in (folder / "table.tex").read_text()
    assert r"\toprule" in (folder / "table.tex").read_text()
    listed = (folder / "checklist.md").read_text()
    assert "wide on all, seed 1: diverged, NonFiniteError" in listed
    assert "device hours" in listed
    claims = (folder / "claims.md").read_text()
    assert "Probability that a run of wide is above one of narrow: 1.00" in claims
    assert "McNemar" in claims
    assert {"bars.pdf", "curves.png"} <= {file.name for file in (folder / "figures").iterdir()}
    page = (folder / "report.html").read_text()
    assert "data:image/png;base64" in page
    assert "http" not in page
    assert "NonFiniteError" in page


def test_the_artifact_rebuilds_the_same_bytes(filled: Filled, tmp_path: Path) -> None:
    folder = filled(wide=WIDE, narrow=NARROW)
    code = checked(folder)
    moved = tmp_path / "elsewhere" / "artifact.zip"
    moved.parent.mkdir()
    shutil.copy(folder / "artifact.zip", moved)
    written = {f: (folder / f).read_bytes() for f in ("table.md", "table.csv", "table.tex")}
    written |= {f: (folder / f).read_bytes() for f in ("claims.md", "claims.csv", "report.html")}
    shutil.rmtree(folder)
    assert rebuild(str(moved), str(tmp_path / "again")) == code
    assert {f: (tmp_path / "again" / f).read_bytes() for f in written} == written


def test_runs_with_other_code_or_data_are_rejected(filled: Filled) -> None:
    folder = filled(wide=WIDE, narrow=NARROW)
    first, second = sorted((folder / "cells" / "wide" / "all").iterdir())[:2]
    code = RunDirectory(first).manifest["code"]
    RunDirectory(first).update_manifest(code={**code, "arclight_zoo/image/cnn.py": "0" * 16})
    facts = RunDirectory(second).manifest["data"]
    RunDirectory(second).update_manifest(data={**facts, "fingerprint": "e" * 64})
    with pytest.raises(UserError) as caught:
        checked(folder)
    said = str(caught.value)
    assert f"{first.name} was trained with other code: arclight_zoo/image/cnn.py" in said
    assert f"{second.name} was trained with other data" in said
    assert checked(folder, "paper.mixed=true") == 0
    assert "was trained with other code" in (folder / "report.html").read_text()


def test_runs_of_anyone_count_as_evidence(filled: Filled, tmp_path: Path) -> None:
    folder = filled(wide=WIDE, narrow=NARROW)
    _, _, cells = planned(*TINY, f"paper.dir={tmp_path / 'theirs'}", "paper.seeds=[2,3,4]")
    for cell in cells:
        config = {**cell.config, "name": "theirs", "runs": "elsewhere"}
        make(tmp_path / "theirs" / cell.path.name, config, {"wide": 0.5, "narrow": 0.9}[cell.row])
    _, _, strange = planned(*TINY, f"paper.dir={tmp_path / 'theirs'}", "optimizer.lr=0.5")
    make(tmp_path / "theirs" / "strange", strange[0].config, 0.1)
    code = checked(folder, f"paper.evidence={tmp_path / 'theirs'}")
    assert code == 3  # two seeds against the three that are for it
    assert [row["finished"] for row in rows(folder / "table.csv")] == ["5", "5"]
    page = (folder / "report.html").read_text()
    assert "4 runs of" in page
    assert "2 runs of" in page  # seed 2 is there already
    assert "1 runs of" in page  # of no row


def test_repeated_looks_are_corrected(filled: Filled) -> None:
    folder = filled(wide=WIDE, narrow=NARROW)
    checked(folder, "paper.seeds=[0,1]")
    first = rows(folder / "claims.csv")[0]
    checked(folder, "paper.seeds=[0,1]")
    assert rows(folder / "claims.csv")[0] == first  # the same runs are no new look
    checked(folder)
    second = rows(folder / "claims.csv")[0]
    assert (first["looks"], second["looks"]) == ("1", "2")
    assert "test 2 of these claims" in (folder / "claims.md").read_text()


def test_runs_with_another_config_are_left_out_and_reported(filled: Filled) -> None:
    folder = filled(wide=WIDE, narrow=NARROW)
    assert checked(folder, "optimizer.lr=0.123") == 3
    assert "6 runs of other seeds or configs are left out" in (folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["paper=tinny"], "did you mean paper=tiny"),
        (["paper.seeds=[0,1]"], "Choose a paper"),
        (["paper=tiny", "paper.sedes=[0]"], "did you mean paper.seeds"),
        (["paper=tiny", "paper.seeds=[0,0]"], "different seeds"),
        (["paper=tiny", "paper.vary=[seed]"], "vary: seed is unknown"),
        (["paper=tiny", "paper.vary=[fold]"], "go together"),
        (["paper=tiny", "paper.threshold=-1"], "a number of 0 or more"),
        (["paper=tiny", "paper.claims=['wide > nothing on x']"], "unknown row: nothing"),
        (["paper=tiny", "model.widht=3"], "model.widht"),
        (["paper=tiny", "paper.rows=3"], "should be experiments"),
        (["paper=tiny", "+paper.tune={n_trials: 0}"], "the same for every row"),
    ],
)
def test_mistyped_settings_are_user_errors(words: list[str], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=sentence):
        run_paper([*words, f"paper.dir={tmp_path}", "paper.dry_run=true"])


@pytest.mark.parametrize(
    ("vary", "keys"),
    [
        ("[init,order]", {"seed": 2}),
        ("[init]", {"seed": 2, "data.seed": 0}),
        ("[order]", {"data.seed": 2}),
        ("[split]", {"data.split_seed": 2}),
        ("[init,order,split]", {"seed": 2, "data.split_seed": 2}),
    ],
)
def test_a_repetition_varies_the_given_keys(
    vary: str, keys: dict[str, int], tmp_path: Path
) -> None:
    _, _, cells = planned(*TINY, f"paper.vary={vary}", f"paper.dir={tmp_path}")
    config = next(cell for cell in cells if cell.seed == 2).config
    found = {"seed": config["seed"], "data.seed": config["data"]["seed"]}
    found["data.split_seed"] = config["data"]["split_seed"]
    usual = {"seed": 0, "data.seed": keys.get("seed", 0), "data.split_seed": 0}
    assert found == {**usual, **keys}
    assert len({cell.kind for cell in cells}) == 2  # one for each row


def test_every_setting_is_explained_and_used() -> None:
    explained = yaml.safe_load((CONFIGS / "paper" / "_paper.yaml").read_text())
    assert set(explained) == set(Paper.__dataclass_fields__)


def test_a_page_has_tables_lists_and_no_markup_of_others() -> None:
    said = to_html("# A\n\n| a | b |\n| - | - |\n| **x** | <i> |\n\nWhy:\n- `one`\n- two")
    assert "<h1>A</h1>" in said
    assert "<td><strong>x</strong></td><td>&lt;i&gt;</td>" in said
    assert "<p>Why:</p><ul><li><code>one</code></li><li>two</li></ul>" in said
