"""Interrupt runs in every way and see whether they survive: python scripts/faults.py [key=value]

Parts, all by default:
  sigkill    at random times after the first checkpoint; one process, then two
  savekill   within the save of a checkpoint of 108 MB, with $TMPDIR on another file system
  signals    SIGTERM, SIGINT and SIGUSR1 from a process's start to its end; one process, then two
  starts     many in the same instant
  damage     truncated, empty, bit-flipped and foreign checkpoints
  disk       full and read-only targets (needs the right to mount)
  waits      data that never come, a full /dev/shm (needs user namespaces), killed workers, moved
             and deleted directories, damaged files of each kind
  plain      SIGKILL to runs of ten data modules written by Lightning's conventions; one process and
             two, 0 and 2 workers
  tricky     more data modules, which hide generators and state, each in one of these ways: they
             must end equal, or say that they cannot be resumed exactly
  models     SIGKILL to a run of every model, likewise in one of these ways
  gallery    SIGKILL to runs of every experiment of the gallery, in all of them

Keys: only (parts, with commas between), kills (of each kind, default 50), signals (of each signal,
default 20), starts (default 20), seed (of the random times, default 0), output (a JSON file;
default: a new one in runs/).

project="experiment=NAME key=value ..." does the same to an experiment of your own, and nothing
else: its runs are killed at random times and continued, in one process and two, with 0 and 2
workers if data.num_workers is a key. Weights and metrics.csv must end equal to those of a run that
nobody disturbed. Choose words with which it trains for half a minute or so.

Exit code 1 where anything failed. All of it takes about four hours on two cores.
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
class Asked:
    """What the command line asks of a part."""

    folder: Path
    rng: Random
    project: tuple[str, ...]  # the words of an experiment of the user's own
    kills: int
    signals: int
    starts: int


def main() -> int:
    # A shell starts what it sends to the background with SIGINT ignored, and the runs inherit that.
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
                Asked(Path(folder), Random(f"{name} {seed}"), **numbers, project=words)
            )
        done += parts
        print(f"{name} took {time.monotonic() - began:.0f} s\n", flush=True)
        _write(output, done, seed)
    _report(done)
    print(f"\nAll trials are in {output}.")
    return 1 if any(part.failed for part in done) else 0


def _number(key: str, text: str | int) -> int:
    if not str(text).isdigit():
        raise UserError(f"{key}={text} should be a whole number.")
    return int(text)


def sigkill(asked: Asked) -> "list[Part]":
    from tests.fault.kills import sigkill

    return [sigkill(asked.folder, asked.kills, n, asked.rng, say) for n in (1, 2)]


def savekill(asked: Asked) -> "list[Part]":
    from tests.fault.kills import savekill

    return [savekill(asked.folder, asked.kills, asked.rng, say)]


def signals(asked: Asked) -> "list[Part]":
    from tests.fault.signals import signals

    return [signals(asked.folder, asked.signals, n, asked.rng, say) for n in (1, 2)]


def starts(asked: Asked) -> "list[Part]":
    from tests.fault.starts import starts

    return [starts(asked.folder, asked.starts)]


def damage(asked: Asked) -> "list[Part]":
    from tests.fault.files import damaged

    return [damaged(asked.folder)]


def disk(asked: Asked) -> "list[Part]":
    from tests.fault.files import disk

    return [disk(asked.folder, say)]


def waits(asked: Asked) -> "list[Part]":
    from tests.fault.waits import waits

    return [waits(asked.folder, say)]


def plain(asked: Asked) -> "list[Part]":
    from tests.fault.projects import conventional, resumed

    cases = list(conventional(asked.folder))
    return [resumed(asked.folder, cases, _each(asked, cases), asked.rng, say, "plain data modules")]


def tricky(asked: Asked) -> "list[Part]":
    from tests.fault.projects import resumed, tricky

    cases = list(tricky(asked.folder, asked.rng))
    name = "data modules that hide their state"
    return [resumed(asked.folder, cases, _each(asked, cases), asked.rng, say, name)]


def models(asked: Asked) -> "list[Part]":
    from tests.fault.projects import models, resumed

    cases = list(models(asked.rng))
    return [resumed(asked.folder, cases, _each(asked, cases), asked.rng, say, "models")]


def gallery(asked: Asked) -> "list[Part]":
    from tests.fault.projects import gallery, resumed

    cases = list(gallery())
    return [resumed(asked.folder, cases, _each(asked, cases), asked.rng, say, "the gallery")]


def project(asked: Asked) -> "list[Part]":
    from tests.fault.projects import of_everything, resumed

    name = " ".join(asked.project)
    try:
        cases = of_everything(name, asked.project)
    except RuntimeError as error:
        raise UserError(f"{name} cannot be composed: {error}") from error
    return [resumed(asked.folder, cases, _each(asked, cases), asked.rng, say, name)]


def _each(asked: Asked, cases: Sized) -> int:
    """How often the run of each case is killed."""
    return max(1, asked.kills // len(cases))


ALL: "dict[str, Callable[[Asked], list[Part]]]" = {
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
