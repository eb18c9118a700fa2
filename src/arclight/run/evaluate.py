"""Test a run again, from its directory alone."""

from pathlib import Path
from typing import Any

from arclight.errors import UserError
from arclight.run.code import warn_of_changes
from arclight.run.directory import RunDirectory, open_run


def evaluate(run: str, checkpoint: str | None = None, data: str | None = None) -> dict[str, float]:
    """Tests a run's checkpoint and prints the figures, beside the run's own where they compare.

    Args:
        run: the run directory.
        checkpoint: a checkpoint file; None: the one that the run tested.
        data: a `data.path` in the place of the run's own.
    """
    directory = open_run(run)
    file = chosen_checkpoint(directory, checkpoint)
    warn_of_changes(directory)
    from arclight.run.console import table
    from arclight.run.devices import accelerator_here
    from arclight.run.fit import measured
    from arclight.run.parts import build_parts
    from arclight.training.checkpoints import load_weights
    from arclight.training.trainer import make_trainer

    config = directory.config
    trainer_keys = ("accelerator", "precision", "limit_test_batches")
    settings: dict[str, Any] = {k: config["trainer"][k] for k in trainer_keys}
    if (accelerator := accelerator_here(settings)) != settings["accelerator"]:
        print(
            f"warning: {run} was trained on a GPU, which this machine has not: tested on the CPU."
        )
        settings |= {"accelerator": accelerator, "precision": "32-true"}
    if data:
        config["data"]["path"] = data
    try:
        parts = build_parts(config, directory.path)
    except UserError as error:
        raise UserError(str(error).replace("data.path=", "data=")) from error  # its name here
    step = load_weights(parts.task, file)
    trainer = make_trainer(
        run_dir=directory.path,
        callbacks=[],
        loggers=[],
        deterministic=config["deterministic"],
        **settings,
    )
    trainer.test(parts.task, datamodule=parts.data, verbose=False)
    figures = measured(trainer, "test/")
    rows = [(k, str(v)) for k, v in figures.items()]
    print(table([*rows, ("checkpoint", f"{file} of step {step}")], f"Evaluation of {run}"))
    return figures


def chosen_checkpoint(run: RunDirectory, checkpoint: str | None) -> Path:
    """The named checkpoint, or the run's best, or its last.

    Raises:
        UserError: there is no such file.
    """
    if checkpoint:
        file = Path(checkpoint).expanduser()
        if not file.is_file():
            raise UserError(f"checkpoint={checkpoint} is not a file.")
        return file
    for name in ("best.ckpt", "last.ckpt"):
        if (run.checkpoints / name).is_file():
            return run.checkpoints / name
    raise UserError(
        f"{run.path} has no checkpoint yet; its status is {run.status}. "
        f"Train it with python train.py resume={run.path}."
    )
