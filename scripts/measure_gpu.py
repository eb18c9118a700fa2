"""Measures the project on one CUDA device in 15 minutes: python scripts/measure_gpu.py

Keys: part (tests, steps, scores, or all, the default), data (a folder with cifar10/ and
tinyshakespeare/input.txt, for the scores), seconds (when to stop; default 780), output (a folder
for the results; default: a new one in runs/), rehearse (true: every row in a small version on the
CPU).

Each row is a separate process with a time limit. If a row fails or runs out of time, this is
recorded and the next one starts. The results are written after each row, and printed as a table at
the end.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from arclight.config.arguments import arguments, number
from arclight.config.entry import plain_errors
from arclight.errors import UserError
from arclight.files import write_json
from arclight.provenance.manifest import hardware, packages

PROJECT = Path(__file__).parents[1]
KEPT = (
    *("metrics", "training_seconds", "compile_seconds", "startup_seconds"),
    *("costs", "steps", "epochs", "error"),
)
SHOWN = ("test/accuracy", "val/accuracy", "val/loss")
GRACE = 15  # seconds between SIGTERM, which makes a run save, and SIGKILL


@dataclass(frozen=True)
class Row:
    """A process to run.

    Attributes:
        limit: seconds.
        words: overrides of a run of train.py; if empty, `command` is executed.
        rehearsed: arguments that make it small enough for a CPU.
    """

    part: str
    name: str
    limit: int
    words: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    rehearsed: tuple[str, ...] = ()


ON_CPU = ("trainer=cpu", "compile=false", "preflight=false")
SHORT = (
    *ON_CPU,
    "trainer.max_steps=2",
    "trainer.limit_val_batches=1",
    "trainer.limit_test_batches=1",
    "data.batch_size=4",
)
CIFAR = (*SHORT, "trainer.check_val_every_n_epoch=1", "data=digits_32", "data.limit=64")


def benchmark(case: str, limit: int) -> Row:
    command = ("scripts/benchmark.py", "gpu", f"case={case}", "runs=3")
    return Row("steps", f"{case}, a step", limit, command=command, rehearsed=("--help",))


def score(experiment: str, seed: int, limit: int, *words: str) -> Row:
    given = (f"experiment={experiment}", f"seed={seed}", *words)
    rehearsed = CIFAR if experiment.startswith("cifar10") else (*SHORT, "data.context=8")
    return Row("scores", f"{experiment}, seed {seed}", limit, given, rehearsed=rehearsed)


PYTEST = (
    *("-m", "pytest", "-q", "-m", "gpu"),
    *("tests/test_gpu.py", "tests/data", "tests/zoo/pixels"),
)
ROWS = (
    Row(
        "tests", "pytest -m gpu", 200, command=PYTEST, rehearsed=("--collect-only",)
    ),
    Row("tests", "cnn on digits", 60, ("trainer=gpu",), rehearsed=SHORT),
    Row("tests", "vit on digits", 60, ("trainer=gpu", "model=vit"), rehearsed=SHORT),
    benchmark("GPT-124M", 100),
    benchmark("ViT-B/16", 100),
    benchmark("ResNet-50", 100),
    *(score("cifar10_speedrun", seed, 100) for seed in range(3)),
    score("cifar10_speedrun_96", 0, 150),
    score("gpt_shakespeare_gpu", 0, 200),
    score("cifar10_resnet18", 0, 300),
    score("cifar10_vit", 0, 300),
)  # fmt: skip


@dataclass
class Result:
    """The result of a row; `status` is done, failed, timed out or left out."""

    name: str
    command: str
    status: str
    seconds: float = 0.0
    found: dict[str, Any] = field(default_factory=dict)
    tail: str = ""


def main() -> None:
    given = arguments(__doc__, optional=("part", "data", "seconds", "output", "rehearse"))
    part, rehearse = given.get("part", "all"), given.get("rehearse") == "true"
    known = [*dict.fromkeys(row.part for row in ROWS), "all"]
    if part not in known:
        raise UserError(f"part={part} should be {' or '.join(known)}.")
    until = time.monotonic() + number(given, "seconds", int, 780)
    folder = Path(given.get("output", f"runs/gpu-{time.strftime('%Y%m%d-%H%M%S')}")).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    results: list[Result] = []
    for row in ROWS:
        if part not in ("all", row.part):
            continue
        command = in_full(row, folder, given.get("data"), rehearse)
        limit = min(row.limit, until - time.monotonic() - GRACE)
        if limit < 5:
            results.append(Result(row.name, " ".join(command), "left out"))
        else:
            print(f"{row.name} ...", flush=True)
            results.append(executed(row, command, limit, folder))
            print(f"  {line(results[-1])}", flush=True)
        write_json(folder / f"results-{part}.json", content(results))
    print("\n" + "\n".join(f"{r.name:<32} {line(r)}" for r in results))
    if any(r.status == "failed" for r in results):
        sys.exit(1)


def content(results: list[Result]) -> dict[str, Any]:
    return {
        "hardware": hardware(),
        "versions": {n: v for n, v in packages().items() if n in ("torch", "lightning")},
        "rows": [asdict(result) for result in results],
    }


def directory(row: Row, folder: Path) -> Path:
    return folder / "".join(c if c.isalnum() else "-" for c in row.name)


def in_full(row: Row, folder: Path, data: str | None, rehearse: bool) -> list[str]:
    """The command line of a row."""
    small = row.rehearsed if rehearse else ()
    if row.command:
        return [sys.executable, *row.command, *small]
    words = [*row.words, f"run_dir={directory(row, folder)}"]
    shakespeare = "shakespeare" in row.name
    if row.part == "scores" and (shakespeare or not rehearse):
        place = Path(data or ".") / ("tinyshakespeare/input.txt" if shakespeare else "cifar10")
        words.append(f"data.path={place.absolute()}")
    return [sys.executable, str(PROJECT / "train.py"), *words, *small]


def executed(row: Row, command: list[str], limit: float, folder: Path) -> Result:
    """Runs a row to its end or its time limit, with its output in a log file."""
    began = time.monotonic()
    log = directory(row, folder).with_suffix(".log")
    with log.open("wb") as output:
        child = subprocess.Popen(
            command, cwd=PROJECT, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            status = "failed" if child.wait(limit) else "done"
        except subprocess.TimeoutExpired:
            status = "timed out"
            child.terminate()
            with suppress(subprocess.TimeoutExpired):
                child.wait(GRACE)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    tail = log.read_text(errors="replace")[-2000:] if row.command or status != "done" else ""
    found = of_run(directory(row, folder)) if row.words else {}
    seconds = round(time.monotonic() - began, 1)
    return Result(row.name, " ".join(command), status, seconds, found, tail)


def of_run(run: Path) -> dict[str, Any]:
    """The results in a run directory, also of an unfinished run."""
    from arclight.training.loggers import read_metrics

    found: dict[str, Any] = {}
    with suppress(FileNotFoundError, json.JSONDecodeError):
        summary = json.loads((run / "summary.json").read_text())
        keys = (
            "metrics",
            "training_seconds",
            "compile_seconds",
            "startup_seconds",
            "costs",
            "steps",
        )
        found = {key: summary[key] for key in (*keys, "error") if summary.get(key) is not None}
        if {"training_seconds", "compile_seconds"} <= found.keys():
            found["warm_seconds"] = round(found["training_seconds"] - found["compile_seconds"], 2)
    if "metrics" not in found and (run / "metrics.csv").exists():
        rows = read_metrics(run / "metrics.csv")
        found["last rows"] = rows[-2:]
    return found


def line(result: Result) -> str:
    metrics = result.found.get("metrics", {})
    shown = {k: v for k, v in metrics.items() if k in ("test/accuracy", "val/accuracy", "val/loss")}
    shown |= {k: v for k, v in result.found.items() if k.endswith("_seconds")}
    text = ", ".join(f"{key} {value:g}" for key, value in shown.items())
    return f"{result.status} in {result.seconds:g} s{'; ' if text else ''}{text}"


if __name__ == "__main__":
    with plain_errors():
        main()
