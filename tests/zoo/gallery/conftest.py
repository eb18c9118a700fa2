"""Runs of all experiments in miniature, each trained once for all tests of the gallery."""

import shutil
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from arclight.provenance.manifest import describe
from arclight.report.run_pictures import draw
from arclight.run.execute import execute
from arclight.run_directory import RunDirectory, create
from arclight.training.checkpoints import Checkpoints
from tests.conftest import Composed
from tests.zoo.gallery.miniature import FEW, words


class Trained(NamedTuple):
    """A finished run, and copies of its directory at each save."""

    run: RunDirectory
    copies: list[RunDirectory]


Ran = Callable[[str], Trained]
Worded = Callable[..., tuple[str, ...]]


@pytest.fixture(scope="module", autouse=True)
def quick_judge() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("arclight_zoo.generation.judge.STEPS", 10)
        yield


@pytest.fixture(scope="session")
def teacher(composed: Composed, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    folder = tmp_path_factory.mktemp("teachers")
    config = composed("model=cnn", "model.widths=[4,8]", *FEW, "data.augment.crop=0")
    run = create(folder / "teacher", folder, "teacher", config, [], {})
    assert execute(run) == 0
    return run


@pytest.fixture(scope="session")
def worded(request: pytest.FixtureRequest) -> Worded:
    """The overrides of a miniature experiment, with an existing teacher."""

    def make(name: str, *more: str) -> tuple[str, ...]:
        if name == "distillation":
            run: RunDirectory = request.getfixturevalue("teacher")
            more = (f"task.teacher={run.path}", *more)
        return words(name, "preflight=false", *more)

    return make


@pytest.fixture(scope="session")
def ran(composed: Composed, worded: Worded, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Executes an experiment at its first use."""
    done: dict[str, Trained] = {}

    def run_of(name: str) -> Trained:
        if name in done:
            return done[name]
        folder = tmp_path_factory.mktemp(name)
        often = ("trainer.log_every_n_steps=5", "callbacks.checkpoints.every_n_steps=3")
        config = composed(*worded(name, "deterministic=true", *often))
        run = create(folder / "run", folder, name, config, [], describe(config))
        save, copies = Checkpoints.save, list[RunDirectory]()

        def save_and_copy(self: Checkpoints, trainer: Any) -> None:
            save(self, trainer)
            if self.folder == run.checkpoints:
                copies.append(RunDirectory(folder / f"at-{len(copies)}"))
                shutil.copytree(run.path, copies[-1].path)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Checkpoints, "save", save_and_copy)
            patch.setattr("arclight.run.fit.draw", draw)
            assert execute(run) == 0
        done[name] = Trained(run, copies)
        return done[name]

    return run_of
