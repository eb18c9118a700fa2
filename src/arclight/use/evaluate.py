"""Test a run again, from its directory alone."""

from math import isfinite
from typing import Any

from arclight.config.only_reading import only_reading
from arclight.errors import UserError
from arclight.provenance.code import warn_of_changes
from arclight.run.opened import open_checked
from arclight.run_directory import chosen_checkpoint


def evaluate(run: str, checkpoint: str | None = None, data: str | None = None) -> dict[str, float]:
    """Tests a run's checkpoint and prints the figures, beside the run's own where they compare.

    Args:
        run: the run directory.
        checkpoint: a checkpoint file; None: the one that the run tested.
        data: a `data.path` in the place of the run's own.
    """
    directory = open_checked(run)
    file = chosen_checkpoint(directory, checkpoint)
    warn_of_changes(directory)
    from arclight.console import table
    from arclight.processes.devices import accelerator_here
    from arclight.run.assembly import build_parts
    from arclight.run.limits import at_least_one
    from arclight.run.results import is_tested, test
    from arclight.training.checkpoint_files import load_weights
    from arclight.training.trainer import make_trainer

    config = directory.config
    trainer_keys = ("accelerator", "precision", "limit_test_batches")
    settings: dict[str, Any] = {k: config["trainer"][k] for k in trainer_keys}
    if (accelerator := accelerator_here(settings)) != settings["accelerator"]:
        print(
            f"warning: {run} was trained on a GPU, which this machine has not: tested on the CPU."
        )
        settings |= {"accelerator": accelerator, "precision": "32-true"}
    if data and "path" not in config["data"]:
        raise UserError(
            f"data={data} takes the place of data.path, which the data of {run} do not have."
        )
    if data:
        config["data"]["path"] = data
    try:
        with only_reading():
            parts = build_parts(config, directory.path)
    except UserError as error:
        raise UserError(str(error).replace("data.path=", "data=")) from error  # its name here
    run_id = None if checkpoint else directory.manifest.get("run_id")
    step, _ = load_weights(parts.task, file, run_id)
    trainer = make_trainer(
        run_dir=directory.path,
        callbacks=[],
        loggers=[],
        deterministic=config["deterministic"],
        **at_least_one(settings, parts.data),
    )
    if not is_tested(parts):
        raise UserError(
            f"{run} has nothing to be tested with: define test_step in "
            f"{type(parts.task).__name__} and test_dataloader in {type(parts.data).__name__}."
        )
    figures = test(trainer, parts)
    rows = [(k, str(v)) for k, v in figures.items()]
    print(table([*rows, ("checkpoint", f"{file} of step {step}")], f"Evaluation of {run}"))
    if bad := [name for name, value in figures.items() if "loss" in name and not isfinite(value)]:
        raise UserError(f"{', '.join(bad)} of {run} is not finite: its model answers with NaN.")
    return figures
