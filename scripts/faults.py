"""Tests that runs survive interruptions and failures: python scripts/faults.py [key=value]

Parts, all by default:
  sigkill    SIGKILL at random times after the first checkpoint; one process, then two
  savekill   SIGKILL while a checkpoint of 108 MB is saved, with $TMPDIR on another file system
  signals    SIGTERM, SIGINT and SIGUSR1 from a process's start to its end; one process, then two
  starts     many runs started at the same instant
  damage     truncated, empty, bit-flipped and foreign checkpoints
  disk       full and read-only targets (needs the right to mount)
  waits      data that never arrive, a full /dev/shm (needs user namespaces), killed workers, moved
             and deleted directories, damaged files of each kind
  plain      SIGKILL to runs of ten data modules that follow Lightning's conventions; with one and
             two processes, and 0 and 2 workers
  tricky     more data modules, with hidden generators and state, each with one of these settings:
             the results must be equal, or the run must report that it cannot be resumed exactly
  models     SIGKILL to a run of every model, each with one of these settings
  gallery    SIGKILL to runs of every experiment of the gallery, with all of these settings

Keys: only (parts, separated by commas), kills (of each kind, default 50), signals (of each signal,
default 20), starts (default 20), seed (of the random times, default 0), output (a JSON file;
default: a new one in runs/).

project="experiment=NAME key=value ..." tests only an experiment of your own: its runs are killed at
random times and continued, with one and two processes, and with 0 and 2 workers if data.num_workers
is a key. Weights and metrics.csv must be equal to those of an uninterrupted run. Choose overrides
with which it trains for about half a minute.

Exit code 1 if anything failed. All parts take about four hours on two cores.
"""

import os
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sized
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from arclight.config.arguments import arguments, listed
from arclight.config.entry import plain_errors
from arclight.config.suggest import did_you_mean
from arclight.errors import UserError

if TYPE_CHECKING:
    from tests.fault.harness import Part

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT))  # where tests.fault is
COUNTS = {"kills": 50, "signals": 20, "starts": 20}


@dataclass
class Options:
    """The arguments of the command line for a part."""

    folder: Path
    rng: Random
    project: tuple[str, ...]  # the overrides of the user's own experiment
    kills: int
    signals: int
    starts: int


def main() -> int:
    # A shell starts background processes with SIGINT ignored, and the runs would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    given = arguments(__doc__, optional=("only", "project", *COUNTS, "seed", "output"))
    words = tuple(shlex.split(given.get("project", "")))
    names = listed(given, "only") or (["project"] if words else list(ALL))
    for name in names:
        if name not in PARTS:
            raise UserError(f"only={name} is not a part{did_you_mean(name, list(PARTS))}")
        if name == "project" and not words:
            raise UserError('project needs an experiment: type project="experiment=NAME".')
    numbers = {key: _number(key, given.get(key, count)) for key, count in COUNTS.items()}
    seed = _number("seed", given.get("seed", 0))
    stamp = time.strftime("%Y%m%d-%H%M%S")
    output = Path(given.get("output", f"runs/faults-{stamp}.json"))
    done: list[Part] = []
    for name in names:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            os.environ["ARCLIGHT_CACHE"] = f"{folder}/cache"
            parts = PARTS[name](
                Options(Path(folder), Random(f"{name} {seed}"), **numbers, project=words)
            )
        done += parts
        print(f"{name} took {time.monotonic() - began:.0f} s\n", flush=True)
        _write(output, done, seed)
    _report(done)
    print(f"\nAll trials: {output}")
    return 1 if any(part.failed for part in done) else 0


def _number(key: str, text: str | int) -> int:
    if not str(text).isdigit():
        raise UserError(f"{key}={text} should be a whole number.")
    return int(text)


def sigkill(options: Options) -> "list[Part]":
    from tests.fault.kills import sigkill

    return [sigkill(options.folder, options.kills, n, options.rng, say) for n in (1, 2)]


def savekill(options: Options) -> "list[Part]":
    from tests.fault.kills import savekill

    return [savekill(options.folder, options.kills, options.rng, say)]


def signals(options: Options) -> "list[Part]":
    from tests.fault.signals import signals

    return [signals(options.folder, options.signals, n, options.rng, say) for n in (1, 2)]


def starts(options: Options) -> "list[Part]":
    from tests.fault.starts import starts

    return [starts(options.folder, options.starts)]


def damage(options: Options) -> "list[Part]":
    from tests.fault.files import damaged

    return [damaged(options.folder)]


def disk(options: Options) -> "list[Part]":
    from tests.fault.files import disk

    return [disk(options.folder, say)]


def waits(options: Options) -> "list[Part]":
    from tests.fault.waits import waits

    return [waits(options.folder, say)]


def plain(options: Options) -> "list[Part]":
    from tests.fault.projects import conventional, resumed

    cases = list(conventional(options.folder))
    return [
        resumed(
            options.folder, cases, _each(options, cases), options.rng, say, "plain data modules"
        )
    ]


def tricky(options: Options) -> "list[Part]":
    from tests.fault.projects import resumed, tricky

    cases = list(tricky(options.folder, options.rng))
    name = "data modules that hide their state"
    return [resumed(options.folder, cases, _each(options, cases), options.rng, say, name)]


def models(options: Options) -> "list[Part]":
    from tests.fault.projects import models, resumed

    cases = list(models(options.rng))
    return [resumed(options.folder, cases, _each(options, cases), options.rng, say, "models")]


def gallery(options: Options) -> "list[Part]":
    from tests.fault.projects import gallery, resumed

    cases = list(gallery())
    return [resumed(options.folder, cases, _each(options, cases), options.rng, say, "the gallery")]


def project(options: Options) -> "list[Part]":
    from tests.fault.projects import all_settings, resumed

    name = " ".join(options.project)
    try:
        cases = all_settings(name, options.project)
    except RuntimeError as error:
        raise UserError(f"{name} cannot be composed: {error}") from error
    return [resumed(options.folder, cases, _each(options, cases), options.rng, say, name)]


def _each(options: Options, cases: Sized) -> int:
    """The number of kills for the run of each case."""
    return max(1, options.kills // len(cases))


ALL: "dict[str, Callable[[Options], list[Part]]]" = {
    part.__name__: part
    for part in (
        *(sigkill, savekill, signals, starts, damage, disk, waits),
        *(plain, tricky, models, gallery),
    )
}
PARTS = {**ALL, "project": project}


def say(text: str) -> None:
    print(text, flush=True)


def _report(parts: "list[Part]") -> None:
    width = max(len(part.name) for part in parts)
    for part in parts:
        print(f"{part.name:{width}}  {part.verdict}")
        for trial in part.failed:
            print(f"{'':{width}}  FAILED {trial.what}: {trial.note}")


def _write(output: Path, parts: "list[Part]", seed: int) -> None:
    from arclight.files import write_json
    from arclight.provenance.manifest import git_state, hardware

    output.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"verdict": part.verdict, **asdict(part)} for part in parts]
    about = {"seed": seed, "git": git_state()["commit"], "hardware": hardware()}
    write_json(output, {**about, "parts": rows})


if __name__ == "__main__":
    with plain_errors():
        sys.exit(main())
