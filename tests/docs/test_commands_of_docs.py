"""What README and docs print can be typed: every shell block, and every command of the recipes.

Placeholders are replaced by real files, and training is cut short by words after those that are
printed. A block that is not run says why.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.docs.pages import BLOCK, FOLLOWED, PAGES, PROJECT, Command, commands
from tests.pictures import image_folder, picture, tar_shards

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("docs")]  # they share a project

SHORT = (
    *("trainer.max_epochs=1", "trainer.limit_train_batches=1", "trainer.limit_val_batches=1"),
    *(
        "trainer.limit_test_batches=1",
        "trainer.check_val_every_n_epoch=1",
        "trainer.val_check_interval=1.0",
    ),
    "preflight=false",
)
AS_IT_IS = re.compile(r"^(-h|--\w.*|(resume|check|explain)=.*|preflight=only|search.dry_run=.*)$")
SHORTENED = {  # words after those that are printed, by script and a word that it has
    ("train.py", "search"): ("search.n_trials=2", "logger=csv", *SHORT),
    ("train.py", "debug"): ("trainer.max_epochs=1",),
    ("scripts/paper.py", "paper"): ("paper.seeds=[0]", *SHORT),
    ("scripts/find_batch_size.py", ""): ("limit_gb=0.05",),
    ("scripts/compare.py", ""): ("only=ResNet-50",),
    ("scripts/results.py", "by"): ("mixed=true",),
    ("train.py", ""): SHORT,
}
UNDECIDED = {"scripts/paper.py": (0, 1, 3)}  # of so few runs no claim holds
MODULE = """
import torch
from lightning import LightningModule

class LitNet(LightningModule):
    def __init__(self, lr: float = 0.1):
        super().__init__()
        self.net, self.lr = torch.nn.Linear(4, 2), lr

    def training_step(self, batch, batch_idx):
        return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.training_step(batch, batch_idx))

    test_step = validation_step

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.lr)
"""
DATA = """
import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader, TensorDataset

class LitData(LightningDataModule):
    def setup(self, stage):
        x = torch.randn(32, 4, generator=torch.Generator().manual_seed(0))
        self.data = TensorDataset(x, (x.sum(1) > 0).long())

    def train_dataloader(self):
        return DataLoader(self.data, 8, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.data, 8)

    test_dataloader = val_dataloader
"""


def write_files(root: Path) -> None:
    """What placeholders stand for, under names of their own."""
    image_folder(root / "pictures", {"cats": 30, "dogs": 30})
    for place in ("images", "masks"):
        for i in range(50):
            file = root / "scenes" / place / f"{i}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            picture(i).convert("L").point(lambda v, p=place: v if p == "images" else v // 128).save(
                file
            )
    tar_shards(
        root / "shards", {"train-0": ["a", "b"] * 8, "val-0": ["a", "b"], "test-0": ["a", "b"]}
    )
    pixels = np.random.default_rng(0).integers(0, 255, (24, 12, 12), dtype=np.uint8)
    np.savez(root / "pixels.npz", train_images=pixels, train_labels=np.arange(24) % 2)
    rows = [f"{i % 7},{i % 3},{'yes' if i % 2 else 'no'}" for i in range(60)]
    (root / "rows.csv").write_text("\n".join(["size,colour,kind", *rows]))
    (root / "text.txt").write_text("To be, or not to be, that is the question.\n" * 200)
    (root / "MODULE.py").write_text(MODULE)
    (root / "DATA.py").write_text(DATA)


PLACEHOLDERS = {
    "data.path=FOLDER": "data.path=pictures",
    "input=FOLDER": "input=pictures",
    "FILE.csv": "rows.csv",
    "FILE.npz": "pixels.npz",
    "FILE.txt": "text.txt",
    "COLUMN": "kind",
    "MASKS": "scenes",
    "SHARDS": "shards data.batch_size=8",  # few pictures make one batch
    "FIGURES": "figures",
    "project=NAME": "project=mine",
    "experiment=NAME": "experiment=digits_cnn",
    "runs/search/NAME": "runs/search/digits_cnn",
}
RUNS = {  # that recipes continue from
    "runs/mine": ("model=cnn",),
    "runs/VIT": ("model=vit",),
    "runs/GPT": ("model=gpt", "data=text_file", "data.path=text.txt"),
}


class Typist:
    """Types a page's commands, in a copy of the project."""

    def __init__(self, root: Path) -> None:
        self.root = root
        quiet = {"OMP_NUM_THREADS": "1", "WANDB_MODE": "offline", "HF_HUB_OFFLINE": "1"}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment = {**os.environ, **quiet, "PATH": path, "COLUMNS": "200"}
        self.environment["PYTHONPATH"] = str(root / "src")
        self._process = subprocess.Popen(
            [sys.executable, str(PROJECT / "tests/docs/typist.py"), str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self.environment,
        )

    def python(self, words: list[str]) -> tuple[int, str]:
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps(words), file=self._process.stdin, flush=True)
        code, said = json.loads(self._process.stdout.readline())
        return code, said

    def shell(self, line: str) -> tuple[int, str]:
        done = subprocess.run(
            ["bash", "-euc", line],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.returncode, done.stdout

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with the files of the placeholders."""
    root = tmp_path_factory.mktemp("docs") / "project"
    root.mkdir()
    for name in ("src", "configs", "scripts"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT / name, root / name, ignore=ignored)
    (root / "tests").mkdir()
    for name in ("train.py", "pyproject.toml", "tests/test_project.py"):
        shutil.copy(PROJECT / name, root / name)
    write_files(root)
    return root


@pytest.fixture(scope="module")
def typist(original: Path) -> Iterator[Typist]:
    found = Typist(original)
    yield found
    found.close()


@pytest.fixture(scope="module")
def runs(typist: Typist) -> None:
    """The runs that recipes continue from."""
    for path, words in RUNS.items():
        code, said = typist.python(["train.py", *words, f"run_dir={path}", *SHORT])
        assert code == 0, said


def cut_a_run(root: Path) -> None:
    """Leaves an unfinished run behind."""
    cut = root / "runs" / "CUT"
    shutil.copytree(root / "runs/mine", cut, dirs_exist_ok=True)
    summary: dict[str, Any] = json.loads((cut / "summary.json").read_text())
    (cut / "summary.json").write_text(json.dumps({**summary, "status": "interrupted"}))


def filled(line: str, page: str) -> str:
    """The line with real files; on each page the packages and runs have names of their own."""
    for word, real in PLACEHOLDERS.items():
        line = line.replace(word, real)
    if page != "docs/recipes.md":
        line = line.replace("runs/NAME", f"runs/{Path(page).stem.lower()}")
    line = re.sub(r"\bNAME\b(?!=)", "mine", line)
    return re.sub(r"\bmylab\b", f"lab_{Path(page).stem.lower()}", line)


def shortened(words: list[str]) -> list[str]:
    if any(AS_IT_IS.match(word) for word in words):
        return words
    for (script, key), more in SHORTENED.items():
        has = any(word.lstrip("+").startswith(f"{key}=") for word in words)
        if words[0] == script and (has or not key):
            return [*words, *more]
    return words


def type_it(typist: Typist, command: Command) -> None:
    line = filled(command.line, command.page)
    if command.file:
        (typist.root / filled(command.file, command.page)).write_text(line)
        return
    if match := re.match(r"make project NAME=(\w+)", line):  # the line of the Makefile
        line = f"python scripts/new_project.py {match[1]}"
    if "resume=auto" in line:
        cut_a_run(typist.root)
    if re.match(r"python train\.py resume=runs/mine trainer\.max_epochs=", line):
        shutil.copytree(typist.root / "runs/mine", typist.root / "runs/longer", dirs_exist_ok=True)
        line = line.replace("runs/mine", "runs/longer")  # others reproduce the run as it was
    words = command._replace(line=line).words
    if words[0] == "python":
        code, said = typist.python(shortened(words[1:]))
    else:
        code, said = typist.shell(line)
    if command.output is not None:
        assert said.strip() == command.output.strip()
        return
    assert code in UNDECIDED.get(words[1] if len(words) > 1 else "", (0,)), said[-3000:]


@pytest.mark.parametrize("page", [p for p in PAGES if p != "docs/recipes.md" and commands(p)])
def test_the_blocks_of_a_page_run(typist: Typist, runs: None, page: str) -> None:
    for command in commands(page):
        type_it(typist, command)


ELSEWHERE = [c.words for page in PAGES if page != "docs/recipes.md" for c in commands(page)]
RECIPES = [c for c in commands("docs/recipes.md") if c.words not in ELSEWHERE]


@pytest.mark.parametrize("command", RECIPES, ids=lambda c: c.line[:60])
def test_a_recipe_runs(typist: Typist, runs: None, command: Command) -> None:
    type_it(typist, command)


@pytest.mark.parametrize("page", [p for p in PAGES if p not in FOLLOWED])
def test_what_is_not_run_says_why(page: str) -> None:
    text = (PROJECT / page).read_text(encoding="utf-8")
    plain = [
        b["text"] for b in BLOCK.finditer(text) if b["kind"] in ("", "bash", "shell", "console")
    ]
    assert not [text for text in plain if re.search(r"(?m)^(python|make|sbatch|docker) ", text)]
