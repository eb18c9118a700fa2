"""A short version of `scripts/faults.py`: processes that are killed, signalled or orphaned."""

import os
import signal
from pathlib import Path
from random import Random

import pytest

from arclight.run_directory import RunDirectory
from tests.fault.files import damaged, disk, wait_for_a_save
from tests.fault.harness import SMALL, TWO_PROCESSES, Part, finished, train
from tests.fault.kills import GONE, LOST, savekill, sigkill
from tests.fault.projects import Case, conventional, resumed, tricky
from tests.fault.signals import signals
from tests.fault.starts import starts
from tests.zoo.gallery import miniature

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux's /proc"),
]


def all_good(part: Part) -> None:
    if part.skipped:
        pytest.skip(part.skipped)
    assert part.done
    assert not part.failed, [f"{trial.what}: {trial.note}" for trial in part.failed]


def test_killed_runs_end_in_the_same_bits(tmp_path: Path) -> None:
    all_good(sigkill(tmp_path, 3, 1, Random(0), print))


def test_killed_runs_of_two_processes_end_in_the_same_bits(tmp_path: Path) -> None:
    all_good(sigkill(tmp_path, 2, 2, Random(0), print))


def test_a_kill_during_a_save_leaves_a_complete_checkpoint(tmp_path: Path) -> None:
    all_good(savekill(tmp_path, 6, Random(0), print))


def test_signals_end_a_run_with_a_correct_status(tmp_path: Path) -> None:
    all_good(signals(tmp_path, 1, 1, Random(0), print))


def test_simultaneous_starts_get_directories_of_their_own(tmp_path: Path) -> None:
    all_good(starts(tmp_path, 3))


def test_a_damaged_checkpoint_is_replaced_by_the_previous_one(tmp_path: Path) -> None:
    all_good(damaged(tmp_path, ("truncated", "bit-flipped")))


def test_a_disk_that_cannot_be_written(tmp_path: Path) -> None:
    all_good(disk(tmp_path, print, ["no room for a checkpoint", "a start on a read-only disk"]))


def two_processes(path: Path) -> tuple[RunDirectory, tuple[str, ...]]:
    words = (*SMALL, *TWO_PROCESSES, "trainer.max_epochs=30")
    return RunDirectory(path / "run"), (*words, "callbacks.checkpoints.every_n_steps=1")


def test_a_lost_process_ends_the_others_and_the_run_has_failed(tmp_path: Path) -> None:
    run, words = two_processes(tmp_path)
    with train(run, *words) as command:
        wait_for_a_save(command, run)
        os.kill(command.ranks()[1], signal.SIGKILL)
        assert command.gone_within(LOST) is not None
        assert command.code == 1
        assert run.status == "failed"
        assert "process 1" in run.summary["error"]
        assert "failed in process 1" in command.output
    assert not finished(run, *words)


def test_processes_do_not_outlive_the_one_that_watches_them(tmp_path: Path) -> None:
    """The watcher locks the directory: without it, a second execution could start in parallel."""
    run, words = two_processes(tmp_path)
    with train(run, *words) as command:
        wait_for_a_save(command, run)
        command.kill([command.process.pid])
        assert command.gone_within(GONE) is not None
        assert run.status == "running"


BROKEN = """
import os

if os.environ.get("RANK") == "1":
    import arclight.seeds

    whole = arclight.seeds.torch_seed

    def broken(purpose, *numbers):
        if purpose == "step" and numbers[1] == 7:
            raise ZeroDivisionError("in a step of one process")
        return whole(purpose, *numbers)

    arclight.seeds.torch_seed = broken
"""


def test_the_error_of_the_first_failing_process_is_printed_last(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(BROKEN)  # imported when Python starts
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    run, words = two_processes(tmp_path)
    with train(run, *words, PYTHONPATH=path) as command:
        assert command.gone_within(LOST) is not None
        assert command.code == 1
        *_, traceback, error = command.output.strip().rpartition("Traceback (most recent call")
    assert traceback
    assert error.splitlines()[-1] == "ZeroDivisionError: in a step of one process"
    assert "\n  File " in error
    assert run.status == "failed"
    assert "ZeroDivisionError: in a step of one process" in run.summary["error"]


def test_plain_data_and_modules_end_in_the_same_bits(tmp_path: Path) -> None:
    """Two of the forty cases: one with workers, one with two processes."""
    cases, rng = list(conventional(tmp_path)), Random(0)
    one = [case for case in cases if (case.processes, case.workers) == (1, 2)]
    two = [case for case in cases if (case.processes, case.workers) == (2, 0)]
    some = [rng.choice(one), rng.choice(two)]
    all_good(resumed(tmp_path, some, 1, rng, print, "plain data modules"))


def test_hidden_state_is_restored_or_reported(tmp_path: Path) -> None:
    """A generator in the module, and an order that depends on the loss."""
    cases = {case.name: case._replace(processes=1) for case in tricky(tmp_path, Random(0))}
    some = [cases["OfModule"]._replace(workers=2), cases["FromLoss"]._replace(workers=0)]
    all_good(resumed(tmp_path, some, 1, Random(0), print, "hidden state"))


def test_the_gallery_ends_in_the_same_bits(tmp_path: Path) -> None:
    """The case with two optimizers, in two processes."""
    words = miniature.words("gan")
    some = [Case("gan", words, processes=2, workers=0)]
    all_good(resumed(tmp_path, some, 1, Random(0), print, "the gallery"))


@pytest.mark.parametrize("words", [("data.num_workers=1",), ("data=missing",)])
def test_what_is_typed_counts(words: tuple[str, ...]) -> None:
    case = Case("own", words, 2, 2)
    if "missing" in words[0]:
        with pytest.raises(RuntimeError, match="missing"):
            case.overrides  # noqa: B018
        return
    assert [w for w in case.overrides if "num_workers" in w] == ["data.num_workers=1"]
    assert "trainer.devices=2" in case.overrides
    assert "data.loader=workers" in case.overrides
