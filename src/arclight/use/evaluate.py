"""Test a run again, from its directory alone; or weights that were trained elsewhere."""

from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from arclight.config.only_reading import only_reading
from arclight.errors import UserError
from arclight.provenance.code import warn_of_changes
from arclight.run.opened import open_checked
from arclight.run_directory import chosen_checkpoint

if TYPE_CHECKING:
    from arclight.run.assembly import Parts


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
    from arclight.training.checkpoint_files import load_weights

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
    figures = _figures(parts, settings, directory.path, str(run))
    rows = [(k, str(v)) for k, v in figures.items()]
    print(table([*rows, ("checkpoint", f"{file} of step {step}")], f"Evaluation of {run}"))
    return _finite(figures, str(run))


def evaluate_weights(config: dict[str, Any]) -> dict[str, float]:
    """Tests weights that were trained elsewhere, and prints the figures; nothing is trained.

    Args:
        config: frozen, as of a run; `model.pretrained` names the weights.

    Raises:
        UserError: no weights are named, or they are not all that the model has.
    """
    name = config.get("model", {}).get("pretrained")
    if not name:
        raise UserError(
            "What is to be tested? Type run=DIR, or model=NAME model.pretrained=FILE data=NAME."
        )
    from arclight.console import table
    from arclight.models.weight_files import matched, read_weights
    from arclight.processes.devices import accelerator_here
    from arclight.run.assembly import build_parts
    from arclight.run.panels import network_of

    with TemporaryDirectory() as folder:
        parts = build_parts(config, Path(folder))
        model = network_of(parts.task)
        if (file := Path(name).expanduser()).is_file():
            weights = read_weights(file, f"model.pretrained={name}")
            weights = getattr(model, "adapt_weights", lambda plain: plain)(weights)
            own = model.state_dict()
            if missing := sorted(own.keys() - matched(weights, own).taken.keys()):
                raise UserError(
                    f"model.pretrained={name} lacks {len(missing)} of the model's {len(own)} "
                    f"weights, such as {missing[0]}, so that there is nothing to test: train it "
                    "first, or give the model the sizes that the file has."
                )
        trainer_keys = ("accelerator", "precision", "limit_test_batches")
        settings: dict[str, Any] = {k: config["trainer"][k] for k in trainer_keys}
        settings["accelerator"] = accelerator_here(settings)
        figures = _figures(parts, settings, Path(folder), name)
    print(table([(k, str(v)) for k, v in figures.items()], f"Evaluation of {name}"))
    return _finite(figures, name)


def _figures(parts: "Parts", settings: dict[str, Any], folder: Path, of: str) -> dict[str, float]:
    from arclight.run.limits import at_least_one
    from arclight.run.results import is_tested, test
    from arclight.training.trainer import make_trainer

    if not is_tested(parts):
        raise UserError(
            f"{of} has nothing to be tested with: define test_step in {type(parts.task).__name__} "
            f"and test_dataloader in {type(parts.data).__name__}."
        )
    trainer = make_trainer(
        run_dir=folder,
        callbacks=[],
        loggers=[],
        deterministic=parts.config["deterministic"],
        **at_least_one(settings, parts.data),
    )
    return test(trainer, parts)


def _finite(figures: dict[str, float], of: str) -> dict[str, float]:
    if bad := [name for name, value in figures.items() if "loss" in name and not isfinite(value)]:
        raise UserError(f"{', '.join(bad)} of {of} is not finite: its model answers with NaN.")
    return figures
