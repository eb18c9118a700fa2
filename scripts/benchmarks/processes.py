"""Parts that time whole commands: starts, jobs, trials, and processes that train together."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from benchmarks.asked import PROJECT, Asked

from arclight.reading import read_json
from arclight.report.benchmark import Row, process


def startup(asked: Asked) -> list[Row]:
    """Processes in turns. The first of each is not counted: it compiles and reads from the disk.

    This runs before anything heavy is imported here, since Linux counts the memory of the process
    that starts another towards the other's peak.

    The first step's time is taken from outside, of the real `train.py` with its default config: its
    metrics.csv gets a first row when the first step is done. (By default it does after the 50th;
    `log_every_n_steps=1` is the only difference.) The bare script writes a file at that point.
    """
    train, bare = PROJECT / "train.py", PROJECT / "scripts" / "benchmarks" / "bare_loops.py"
    samples = []
    for i in range(asked.runs + 1):
        run, done = asked.folder / f"run{i}", asked.folder / f"bare{i}"
        words = [f"run_dir={run}", "trainer.log_every_n_steps=1"]
        samples.append(
            process(PROJECT, str(train), "--cfg", "job")[1:]
            + process(PROJECT, str(train), *words, until=run / "metrics.csv")[:1]
            + process(PROJECT, str(bare), str(done), until=done)[:2]
        )
    answer, peak, first, bare_first, bare_all = (list(s) for s in zip(*samples[1:], strict=True))
    return [
        Row("--cfg job", "s", answer, [], "project", 0.5),
        Row("--cfg job, peak memory", "MB", peak, [], "project", 60),
        Row("--cfg job / a whole bare run of one step", "s", answer, bare_all, "ratio", 0.12),
        Row("start to first step", "s", first, bare_first, "ratio", 1.30),
    ]


def multirun(asked: Asked) -> list[Row]:
    """Jobs of one epoch on the digits, in one process; the first, which imports, is not counted.

    A job lasts from the last word of the one before it to its own: composing, the directory, the
    data, the model, the test, the pictures, and what Hydra does between two jobs.
    """
    folder = asked.folder / "multirun"
    words = [f"seed=range(0,{asked.runs + 1})", "trainer.max_epochs=1", f"hydra.sweep.dir={folder}"]
    process(PROJECT, str(PROJECT / "train.py"), "-m", *words)
    files = [folder / str(i) / "summary.json" for i in range(asked.runs + 1)]
    ends = [file.stat().st_mtime for file in files]
    training = [read_json(file)["training_seconds"] for file in files]
    beyond = [
        end - before - trained
        for before, end, trained in zip(ends, ends[1:], training[1:], strict=False)
    ]
    return [Row("a job of a multirun beyond its training", "s", beyond, [], "project", 0.4)]


def search(asked: Asked) -> list[Row]:
    """The trials of a search, one at a time, in processes forked from the search's own.

    With W&B, which is the default logger of a search, and with metrics.csv alone.
    """
    return [
        *trials(asked, "a trial's start, from its proposal to its training", "wandb", 0.5),
        *trials(asked, "the same without W&B", "csv", 0.5),
    ]


def trials(asked: Asked, name: str, logger: str, target: float) -> list[Row]:
    """Starts and overheads of the trials of one search; the first trial is not counted."""
    import optuna

    folder, count = asked.folder / f"search-{logger}", asked.runs + 1
    words = [f"search.dir={folder}", f"search.n_trials={count}", "search.workers=1"]
    process(PROJECT, str(PROJECT / "train.py"), "search=digits_cnn", f"logger={logger}", *words)
    study = optuna.load_study(study_name="digits_cnn", storage=f"sqlite:///{folder}/study.db")
    start, beyond = [], []
    for trial in study.get_trials()[1:]:
        summary = read_json(folder / trial.user_attrs["runs"][0] / "summary.json")
        assert trial.datetime_complete
        assert trial.datetime_start
        whole = (trial.datetime_complete - trial.datetime_start).total_seconds()
        start.append(whole - summary["seconds"] + summary["startup_seconds"])
        beyond.append(whole - summary["training_seconds"])
    return [
        Row(name, "s", start, [], "project", target),
        Row(f"{name}, and its test and plots", "s", beyond, [], "project"),
    ]


def multi(asked: Asked) -> list[Row]:
    """Whole runs in turns: one process on one core, and two on two, each with half of the batch.

    So a process has the same work either way, and without any cost of working together two would
    be twice as fast. Speeds are the run's own, from its metrics.csv, without the first rows.
    """
    steps, share = asked.steps or 40, 64
    words = ["model=vit", "data=digits_32", "trainer.limit_val_batches=0", "logger=csv"]
    words += ["trainer.limit_test_batches=1", "trainer.log_every_n_steps=2"]
    words += ["trainer.max_epochs=null", f"trainer.max_steps={steps}"]

    def speed(name: str, processes: int) -> float:
        from arclight.training.loggers import read_metrics

        run = asked.folder / name
        trainer = "cpu" if processes == 1 else "ddp_cpu"
        size = f"data.batch_size={share * processes}"
        chosen = [f"run_dir={run}", f"trainer={trainer}", size, *words]
        process(PROJECT, str(PROJECT / "train.py"), *chosen)
        rows = read_metrics(run / "metrics.csv")
        return median(float(v) for r in rows[2:] if (v := r.get("examples_per_second")))

    with one_thread_each():
        pairs = [(2 * speed(f"one{i}", 1), speed(f"two{i}", 2)) for i in range(asked.runs)]
    ideal, found = (list(samples) for samples in zip(*pairs, strict=True))
    return [Row("two processes / ideal", "images/s", found, ideal, "ratio", 0.85, at_least=True)]


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Processes started here compute in one thread, as one core each has room for."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        del os.environ["OMP_NUM_THREADS"]
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before
