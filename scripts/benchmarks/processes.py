"""Parts that time whole commands: starts, jobs, trials, and distributed training."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from benchmarks.options import PROJECT, Options
from benchmarks.samples import Row, process

from arclight.reading import read_json


def startup(options: Options) -> list[Row]:
    """Alternating processes. The first of each is not counted: it compiles and reads from disk.

    This runs before anything large is imported here, because Linux counts the memory of the parent
    process towards the child's peak.

    The first step is detected from outside, in the real `train.py` with its default config: its
    metrics.csv gets a first row after the first step, because of `log_every_n_steps=1`. The bare
    script writes a file at that point.
    """
    train, bare = PROJECT / "train.py", PROJECT / "scripts" / "benchmarks" / "bare_loops.py"
    samples = []
    for i in range(options.runs + 1):
        run, done = options.folder / f"run{i}", options.folder / f"bare{i}"
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


def multirun(options: Options) -> list[Row]:
    """Jobs of one epoch on the digits in one process, except the first one, which imports.

    A job lasts from the end of the previous one to its own end: composing, the directory, the data,
    the model, the test, the plots, and Hydra's work between two jobs.
    """
    folder = options.folder / "multirun"
    words = [
        f"seed=range(0,{options.runs + 1})",
        "trainer.max_epochs=1",
        f"hydra.sweep.dir={folder}",
    ]
    process(PROJECT, str(PROJECT / "train.py"), "-m", *words)
    files = [folder / str(i) / "summary.json" for i in range(options.runs + 1)]
    ends = [file.stat().st_mtime for file in files]
    training = [read_json(file)["training_seconds"] for file in files]
    beyond = [
        end - before - trained
        for before, end, trained in zip(ends, ends[1:], training[1:], strict=False)
    ]
    return [Row("a job of a multirun beyond its training", "s", beyond, [], "project", 0.4)]


def search(options: Options) -> list[Row]:
    """The trials of a search, one at a time, in forked processes.

    Once with W&B, the default logger of a search, and once with only metrics.csv.
    """
    return [
        *trials(options, "a trial's start, from its proposal to its training", "wandb", 0.5),
        *trials(options, "the same without W&B", "csv", 0.5),
    ]


def trials(options: Options, name: str, logger: str, target: float) -> list[Row]:
    """Starts and overheads of the trials of one search; the first trial is not counted."""
    import optuna

    folder, count = options.folder / f"search-{logger}", options.runs + 1
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


def multi(options: Options) -> list[Row]:
    """Alternating runs: one process on one core, and two on two cores with twice the batch.

    Each process has the same work, so without communication two would be twice as fast. The speeds
    are from the runs' metrics.csv, without the first rows.
    """
    steps, share = options.steps or 40, 64
    words = ["model=vit", "data=digits_32", "trainer.limit_val_batches=0", "logger=csv"]
    words += ["trainer.limit_test_batches=1", "trainer.log_every_n_steps=2"]
    words += ["trainer.max_epochs=null", f"trainer.max_steps={steps}"]

    def speed(name: str, processes: int) -> float:
        from arclight.training.loggers import read_metrics

        run = options.folder / name
        trainer = "cpu" if processes == 1 else "ddp_cpu"
        size = f"data.batch_size={share * processes}"
        chosen = [f"run_dir={run}", f"trainer={trainer}", size, *words]
        process(PROJECT, str(PROJECT / "train.py"), *chosen)
        rows = read_metrics(run / "metrics.csv")
        return median(float(v) for r in rows[2:] if (v := r.get("examples_per_second")))

    with one_thread_each():
        pairs = [(2 * speed(f"one{i}", 1), speed(f"two{i}", 2)) for i in range(options.runs)]
    ideal, found = (list(samples) for samples in zip(*pairs, strict=True))
    return [Row("two processes / ideal", "images/s", found, ideal, "ratio", 0.85, at_least=True)]


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Processes started within the context use one thread each."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        del os.environ["OMP_NUM_THREADS"]
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before
