"""A shell is told what could stand at the cursor, and nothing where the line is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from arclight.config.help.completion import complete, split
from arclight.config.help.offers import offers
from tests.conftest import PROJECT, options


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("python train.py mod", (["python", "train.py"], "mod", None)),
        ("python train.py ", (["python", "train.py"], "", None)),
        ("a 'b c' d", (["a", "b c"], "d", None)),
        ("a data.path='my f", (["a"], "data.path=my f", ("'", 10))),
        ('a "b c', (["a"], "b c", ('"', 0))),
        (r"a b\ c\'d", (["a"], "b c'd", None)),
        ("a '' b", (["a", ""], "b", None)),
        ("", ([], "", None)),
    ],
)
def test_a_line_is_cut_into_words(line: str, expected: object) -> None:
    assert split(line) == expected


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with two runs, one of them in a folder, data and a file of weights."""
    for run in ("runs/cnn", "runs/sweep/0"):
        (tmp_path / run).mkdir(parents=True)
        for file in ("summary.json", "config.yaml"):
            (tmp_path / run / file).write_text("{}")
    (tmp_path / "Ann's data").mkdir()
    (tmp_path / "weights.pt").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


TRAIN = ("train",)


@pytest.mark.parametrize(
    ("words", "word", "expected"),
    [
        ([], "model=vit_", [f"model={n}" for n in options("model") if n.startswith("vit_")]),
        ([], "model=cnn,mlp,un", ["model=cnn,mlp,unet"]),
        ([], "see", ["seed="]),
        ([], "seed=", ["seed=0"]),
        ([], "trainer.max_ep", ["trainer.max_epochs="]),
        (["model=vit"], "model.n_h", ["model.n_heads="]),
        (["model=vti", "seed=("], "optimizer.lr", ["optimizer.lr="]),
        (["model=vit", "seed=("], "model.n_h", ["model.n_heads="]),
        ([], "+task/lo", []),
        ([], "resume=", ["resume=auto", "resume=runs/cnn", "resume=runs/sweep/"]),
        ([], "resume=runs/sweep/", ["resume=runs/sweep/0"]),
        (["runs=runs/sweep"], "resume=", ["resume=auto", "resume=runs/sweep/0"]),
        ([], "model.pretrained=w", ["model.pretrained=weights.pt"]),
        ([], "model.pretrained=runs/c", ["model.pretrained=runs/cnn"]),
        ([], "data.path=A", ["data.path=Ann's data/"]),
        ([], "unknown=", []),
        ([], "a.b.c=./w", ["a.b.c=./weights.pt"]),
    ],
)
def test_words_of_train(place: Path, words: list[str], word: str, expected: list[str]) -> None:
    assert offers(words, word, (), TRAIN) == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("", ["checkpoint=", "run="]),
        ("run=", ["run=runs/cnn", "run=runs/sweep/"]),
        ("checkpoint=w", ["checkpoint=weights.pt"]),
        ("model=", []),
    ],
)
def test_words_of_a_script(place: Path, word: str, expected: list[str]) -> None:
    assert offers([], word, ("run", "checkpoint"), ()) == expected


@pytest.mark.parametrize(
    "line",
    ["python train.py a=(", "python", "", "x.py run=/none/"],
)
def test_a_line_that_is_wrong_has_no_answer_and_no_error(
    line: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "-sc", "query=bash"])
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.delenv("COMP_POINT", raising=False)
    with pytest.raises(SystemExit) as end:
        complete((), TRAIN)
    assert end.value.code == 0
    assert capfd.readouterr() == ("", "")


LINES = {
    "python train.py model=vit_t": ["model=vit_tiny"],
    "python train.py model.pretrained=runs/c": ["model.pretrained=runs/cnn"],
    "python train.py data.path='Ann": [r"Ann'\''s data/"],
    'python train.py data.path="Ann': ["Ann's data/"],
    "python train.py data.path=Ann": [r"data.path=Ann\'s\ data/"],
    "python train.py model=(,": [],
    "python train.py resume=none/": [],
    "python scripts/export.py for": ["format="],
    "python scripts/find_batch_size.py limit": ["limit_gb="],
    "python other.py mod": [],
    "python": [],
}

ASK = """
cd "$PROJECT" && eval "$(python train.py --shell-completion install=bash)"
cd - > /dev/null
while IFS= read -r line; do
    COMP_LINE=$line COMP_POINT=${#line}
    hydra_bash_completion
    (IFS='|'; echo "${COMPREPLY[*]}")
done
"""


def test_bash_completes_train_and_the_scripts(place: Path) -> None:
    for name in ("train.py", "scripts"):
        (place / name).symlink_to(PROJECT / name)
    (place / "other.py").write_text("raise SystemExit('executed')")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", ASK],
        input="\n".join(LINES) + "\n",
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": path, "PROJECT": str(PROJECT)},
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["|".join(found) for found in LINES.values()]
