"""Each command reports any damaged file of a run in one sentence, and creates nothing."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from arclight.errors import UserError
from arclight.run.execute import execute
from arclight.run_directory import RunDirectory, create
from arclight.training.checkpoints import Checkpoints
from arclight.use.export import export
from tests.conftest import Composed
from tests.safety.commands import COMMANDS

Damage = Callable[[Path], object]
Trained = dict[str, RunDirectory]


def _noise(file: Path) -> None:
    file.unlink()  # it may be a link to a good one
    file.write_bytes(random.Random(0).randbytes(2000))


def _cut(file: Path) -> None:
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content[: len(content) // 2] + b'"')


def _foreign(file: Path) -> None:
    kinds = {".yaml": "a: 1\n", ".json": '{"a": 1}', ".csv": "a,b\nx,y\n"}
    file.unlink()
    file.write_text(kinds.get(file.suffix, "a: 1\n"))


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _empty(file: Path) -> None:
    file.unlink()
    file.touch()


DAMAGE: dict[str, Damage] = {
    "noise": _noise,
    "empty": _empty,
    "cut": _cut,
    "foreign": _foreign,
    "missing": Path.unlink,
    "a folder": _folder,
}

ALL = set(COMMANDS)
WEIGHTS = {"evaluate", "predict", "export", "pretrained"}
READ: dict[str, set[str]] = {
    "config.yaml": ALL,
    "summary.json": ALL,
    "manifest.json": ALL - {"pretrained"},
    "overrides.yaml": {"reproduce", "results"},
    "metrics.csv": {"resume"},
    "checkpoints/best.ckpt": WEIGHTS,
    "checkpoints/last.ckpt": {"reproduce"},
    "tokenizer.json": {"generate"},
    "predictions.parquet": set(),
}
"""The commands that need each file."""

FORGIVEN = {
    ("checkpoints/best.ckpt", "missing"),  # there is a warning, and last.ckpt is used
    ("checkpoints/best.ckpt", "a folder"),
    ("metrics.csv", "missing"),  # it is written again
    ("overrides.yaml", "cut"),  # a valid list with fewer overrides
}


@pytest.fixture(scope="module")
def trained(composed: Composed, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A run on images, and a run on texts for commands that need one."""
    root = tmp_path_factory.mktemp("endings")
    (root / "text.txt").write_text("to be or not to be, that is the question.\n" * 99)
    usual = ("data.batch_size=32", "trainer.max_epochs=1", "preflight=false")
    small = ("model.d_model=16", "model.n_heads=2", "model.n_layers=1", "data.context=16")
    words = {
        "images": ("data.limit=64",),
        "texts": ("model=gpt", "data=text_file", f"data.path={root / 'text.txt'}", *small),
    }
    found = {}
    for name, more in words.items():
        run = create(root / name, root, "run", composed(*usual, *more), ["seed=0"], {})
        assert execute(run) == 0
        found[name] = run
    return found


def copied(trained: Trained, command: str, place: Path) -> RunDirectory:
    """A copy of the run for a command, next to an image."""
    kind = "texts" if command == "generate" else "images"
    run = RunDirectory(Path(shutil.copytree(trained[kind].path, place / "run")))
    Image.new("L", (8, 8)).save(place / "a.png")
    if command == "resume":
        run.update_summary(status="interrupted")
    return run


@pytest.mark.parametrize("file", READ)
@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_reported(
    trained: Trained, tmp_path: Path, file: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    others = (
        ALL - {"reproduce", "generate"} if kind == "noise" and file != "tokenizer.json" else set()
    )
    for name in sorted(READ[file] | others):
        place = tmp_path / name
        run = copied(trained, name, place)
        DAMAGE[kind](run.path / file)
        before = {p.relative_to(place) for p in place.rglob("*")}
        said = ""
        try:
            COMMANDS[name](str(run.path))
        except UserError as error:
            said = str(error)
            assert Path(file).name in said.splitlines()[0], f"{name}: {said}"
            left = {p.relative_to(place) for p in place.rglob("*")} - before
            assert {p.name for p in left} <= {".lock", "train.log"}, name
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err + printed.out
        if name in READ[file]:
            assert said or (file, kind) in FORGIVEN, f"{name} did not report it"


@pytest.mark.parametrize("command", ["evaluate", "predict", "export", "results"])
def test_an_unreadable_file_is_reported(
    trained: Trained, tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copied(trained, command, tmp_path)
    plain = Path.open

    def refused(self: Path, *args: object, **kwargs: object) -> object:
        if self.name == "config.yaml":
            raise PermissionError(13, "Permission denied", str(self))
        return plain(self, *args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(UserError, match=r"config\.yaml cannot be read: Permission denied"):
        COMMANDS[command](str(run.path))


@pytest.mark.parametrize("how", ["moved", "deleted"])
def test_a_directory_that_is_moved_during_the_run(
    composed: Composed, tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("data.limit=64", "data.batch_size=32", "trainer.max_epochs=2", "preflight=false")
    run = create(tmp_path / "run", tmp_path, "run", composed(*words), [], {})
    elsewhere = RunDirectory(tmp_path / "elsewhere")
    plain = Checkpoints.save
    count = 0

    def save(self: Checkpoints, trainer: object) -> None:
        nonlocal count
        count += 1
        if count == 2 and how == "moved":
            run.path.rename(elsewhere.path)
        elif count == 2:
            shutil.rmtree(run.path)
        plain(self, trainer)  # type: ignore[arg-type]

    monkeypatch.setattr(Checkpoints, "save", save)
    assert execute(run) == 2
    assert not run.path.exists()
    if how == "moved":
        assert elsewhere.status == "failed"
        assert f"was moved to {elsewhere.path}" in elsewhere.summary["error"]
        assert (elsewhere.checkpoints / "last.ckpt").is_file()
        monkeypatch.undo()
        assert execute(elsewhere) == 0
    else:
        assert [p.name for p in tmp_path.iterdir()] == []


def test_an_export_into_a_read_only_place(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Path.mkdir

    def refused(self: Path, *args: object, **kwargs: object) -> None:
        if ".new" in self.name:
            raise OSError(30, "Read-only file system", str(self))
        plain(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(UserError, match="Read-only file system"):
        export(
            str(trained["images"].path), "safetensors", output=str(tmp_path / "model.safetensors")
        )
    assert list(tmp_path.iterdir()) == []
