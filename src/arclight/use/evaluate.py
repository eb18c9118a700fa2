"""Tests a run again from its directory, or tests weights that were trained elsewhere."""

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
    """Tests a run's checkpoint, prints the metrics and returns them.

    Args:
        run: the run directory.
        checkpoint: a checkpoint file; None: the one that the run tested.
        data: a `data.path` that replaces the run's own.

    Raises:
        UserError: the run, the checkpoint or the data cannot be read, or there is no test.
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
            f"warning: {run} was trained on a GPU, but this machine has none: testing on the CPU."
        )
        settings |= {"accelerator": accelerator, "precision": "32-true"}
    if data and "path" not in config["data"]:
        raise UserError(
            f"data={data} would replace data.path, which the data of {run} do not have."
        )
    if data:
        config["data"]["path"] = data
    try:
        with only_reading():
            parts = build_parts(config, directory.path)
    except UserError as error:
        raise UserError(str(error).replace("data.path=", "data=")) from error  # this command's key
    run_id = None if checkpoint else directory.manifest.get("run_id")
    step, _ = load_weights(parts.task, file, run_id)
    metrics = _tested(parts, settings, directory.path, str(run))
    rows = [(k, str(v)) for k, v in metrics.items()]
    print(table([*rows, ("checkpoint", f"{file} of step {step}")], f"Evaluation of {run}"))
    return _finite(metrics, str(run))


def evaluate_weights(config: dict[str, Any]) -> dict[str, float]:
    """Tests weights that were trained elsewhere, prints the metrics and returns them.

    Args:
        config: a frozen config; `model.pretrained` specifies the weights.

    Raises:
        UserError: no weights are given, or some weights of the model are missing.
    """
    name = config.get("model", {}).get("pretrained")
    if not name:
        raise UserError(
            "Nothing to test: type run=DIR, or model=NAME model.pretrained=FILE data=NAME."
        )
    from arclight.console import table
    from arclight.models.weight_files import read_weights
    from arclight.models.weight_matching import lacking, matched
    from arclight.processes.devices import accelerator_here
    from arclight.run.assembly import build_parts
    from arclight.run.panels import network_of

    with TemporaryDirectory() as folder:
        parts = build_parts(config, Path(folder))
        model = network_of(parts.task)
        if (file := Path(name).expanduser()).is_file():
            own = model.state_dict()
            weights = read_weights(file, f"model.pretrained={name}", own)
            weights = getattr(model, "adapt_weights", lambda plain: plain)(weights)
            if missing := lacking(matched(weights, own), own):
                raise UserError(
                    f"model.pretrained={name} lacks {len(missing)} of the model's {len(own)} "
                    f"weights, such as {missing[0]}, so it cannot be tested: train it first, or "
                    "give the model the sizes of the weights in the file."
                )
        trainer_keys = ("accelerator", "precision", "limit_test_batches")
        settings: dict[str, Any] = {k: config["trainer"][k] for k in trainer_keys}
        settings["accelerator"] = accelerator_here(settings)
        metrics = _tested(parts, settings, Path(folder), name)
    print(table([(k, str(v)) for k, v in metrics.items()], f"Evaluation of {name}"))
    return _finite(metrics, name)


def _tested(parts: "Parts", settings: dict[str, Any], folder: Path, of: str) -> dict[str, float]:
    from arclight.run.limits import at_least_one
    from arclight.run.results import is_tested, test
    from arclight.training.trainer import make_trainer

    if not is_tested(parts):
        raise UserError(
            f"{of} has no test: define test_step in {type(parts.task).__name__} and "
            f"test_dataloader in {type(parts.data).__name__}."
        )
    trainer = make_trainer(
        run_dir=folder,
        callbacks=[],
        loggers=[],
        deterministic=parts.config["deterministic"],
        **at_least_one(settings, parts.data),
    )
    return test(trainer, parts)


def _finite(metrics: dict[str, float], of: str) -> dict[str, float]:
    if bad := [name for name, value in metrics.items() if "loss" in name and not isfinite(value)]:
        raise UserError(f"{', '.join(bad)} of {of} is not finite: its model predicts NaN.")
    return metrics
