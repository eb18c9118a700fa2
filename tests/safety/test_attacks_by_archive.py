"""Untrusted archives of papers, and links out of a run directory."""

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from arclight.paper.artifact import unpacked
from arclight.run.execute import execute
from arclight.run_directory import RunDirectory, create
from tests.conftest import Composed
from tests.safety.conftest import Attack


def _outside(archive: zipfile.ZipFile, loot: Path) -> None:
    archive.writestr("../loot/mark", "x")


def _absolute(archive: zipfile.ZipFile, loot: Path) -> None:
    archive.writestr(f"{loot}/mark", "x")


def _link(archive: zipfile.ZipFile, loot: Path) -> None:
    link = zipfile.ZipInfo("a")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    archive.writestr(link, str(loot))
    archive.writestr("a/mark", "x")


def _bomb(archive: zipfile.ZipFile, loot: Path) -> None:
    archive.writestr("paper.json", b"0" * 400_000_000, zipfile.ZIP_DEFLATED)


def _record(content: object) -> Callable[[zipfile.ZipFile, Path], None]:
    return lambda archive, loot: archive.writestr("paper.json", json.dumps(content))


ARCHIVES: dict[str, Callable[[zipfile.ZipFile, Path], None]] = {
    "a name that leads out": _outside,
    "an absolute name": _absolute,
    "a link": _link,
    "a bomb": _bomb,
    "no entries": _record({"settings": {}}),
    "entries of another kind": _record({"settings": {}, "entries": [{"a": 1}], "notes": []}),
    "settings of another kind": _record({"settings": {"a": 1}, "entries": [], "notes": []}),
}


@pytest.mark.route("papers: archives")
@pytest.mark.parametrize("write", ARCHIVES.values(), ids=ARCHIVES)
def test_an_archive_stays_in_its_folder(
    tmp_path: Path, attack: Attack, write: Callable[[zipfile.ZipFile, Path], None]
) -> None:
    file = tmp_path / "artifact.zip"
    with zipfile.ZipFile(file, "w") as archive:
        write(archive, attack.loot)

    def use() -> None:
        with unpacked(file):
            pass

    attack.attempt(use, OSError)
    assert attack.refused


@pytest.fixture(scope="module")
def begun(composed: Composed, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    root = tmp_path_factory.mktemp("linked")
    words = ("data.limit=64", "data.batch_size=32", "trainer.max_epochs=1", "preflight=false")
    return create(root / "run", root, "run", composed(*words), [], {})


LINKS = {
    "the lock": (".lock", "precious.txt"),
    "the log": ("train.log", "precious.txt"),
    "the metrics": ("metrics.csv", "precious.txt"),
    "the checkpoints": ("checkpoints", "precious"),
    "the plots": ("plots", "precious"),
    "the config": ("config.yaml", "precious.txt"),
    "something half-written": (".a.part", "precious"),
    "W&B's folder": ("wandb", "precious"),
}


@pytest.mark.route("links out of a run directory")
@pytest.mark.parametrize(("name", "target"), LINKS.values(), ids=LINKS)
def test_nothing_is_deleted_through_a_link(
    begun: RunDirectory, tmp_path: Path, attack: Attack, name: str, target: str
) -> None:
    run = RunDirectory(Path(shutil.copytree(begun.path, tmp_path / "run")))
    kept = [tmp_path / "precious.txt", *(tmp_path / "precious" / n for n in ("a", "step=1.ckpt"))]
    (tmp_path / "precious").mkdir()
    for file in kept:
        file.write_text("precious")
    if name == "config.yaml":
        kept[0].write_text((run.path / name).read_text())
    before = [file.read_text() for file in kept]
    place = run.path / name
    shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
    place.symlink_to(tmp_path / target)
    attack.attempt(lambda: execute(run))
    assert "is a link" in attack.refused[0]
    assert [file.read_text() for file in kept] == before


@pytest.mark.route("links out of a run directory")
def test_a_lock_of_the_cache_is_no_link(tmp_path: Path, attack: Attack) -> None:
    from arclight_zoo.reading.cache import cached

    precious = tmp_path / "precious.txt"
    precious.write_text("precious")
    cached(tmp_path / "cache", "key", lambda: np.zeros(1))
    (file,) = (tmp_path / "cache").glob("*.npy")
    file.unlink()
    file.with_suffix(".lock").symlink_to(precious)
    attack.attempt(lambda: cached(tmp_path / "cache", "key", lambda: np.zeros(1)))
    assert attack.refused
    assert precious.read_text() == "precious"
    assert os.path.lexists(precious)
