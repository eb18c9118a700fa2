"""Extend a run to another end, in its directory: `resume=RUN trainer.max_epochs=N`."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from arclight.config.best_of import key_of
from arclight.config.checks.check import check
from arclight.config.extensions import ENDS, KEY, Extension, with_extension
from arclight.errors import UserError
from arclight.files import write_json, write_text
from arclight.reading import read_overrides
from arclight.run_directory import RunDirectory

LASTING = ("times_resumed", "seconds", "tested", "resume", "inexact_because")
"""Keys that the summary of an extended run keeps; its results move into the manifest."""


@dataclass(frozen=True)
class Plan:
    """What an extension changes in a run directory.

    Attributes:
        config: the new config.
        extension: None if the run has no checkpoint yet, so that only its end changes.
        overrides: the overrides that set the new end.
    """

    config: dict[str, Any]
    extension: Extension | None
    overrides: list[str]


def is_end(word: str) -> bool:
    """Whether an override gives the run another end."""
    return key_of(word) in ENDS and not word.startswith("~")


def planned(run: RunDirectory, cfg: DictConfig, overrides: Sequence[str]) -> Plan:
    """Plans the extension that the overrides ask for; changes nothing.

    Raises:
        UserError: the run cannot be extended in this way.
    """
    config, how = run.config, cfg.extend
    if run.status == "pruned" or "trial" in config:
        raise UserError(
            f"{run.path} is a trial of a search and cannot be extended: start a run of its own "
            "with the same values."
        )
    typed = [word for word in overrides if is_end(word)]
    ends = {key_of(word).partition(".")[2]: OmegaConf.select(cfg, key_of(word)) for word in typed}
    changed = {**config, "trainer": {**config["trainer"], **ends}}
    check(changed)
    found = _last_checkpoint(run)
    if found is None:
        return Plan(changed, None, typed)
    from arclight.training.checkpoint_files import step_of

    new = Extension(step_of(found), int(found["epoch"]), how)
    _require_more(run, changed["trainer"], new)
    if how == "constant" and not any(_rates(found)):
        raise UserError(
            f"The learning rate of {run.path} has reached 0, and extend=constant would keep it "
            "there: type extend=stretch or extend=restart."
        )
    return Plan({**changed, KEY: with_extension(config, new)}, new, typed)


def _last_checkpoint(run: RunDirectory) -> dict[str, Any] | None:
    """Reads the checkpoint from which the run continues; None if it has none."""
    from arclight.training.checkpoint_files import newest_readable, read, step_of

    start, complaints = newest_readable(run.checkpoints, run.manifest["run_id"])
    found = read(start, shards=False) if start else None
    if run.status != "finished":
        return found
    last = run.checkpoints / "last.ckpt"
    if complaints:
        raise UserError(f"{complaints[0]}: restore a good one, so that the run can continue.")
    if found is None or step_of(found) != run.summary.get("steps", step_of(found)):
        raise UserError(f"{last} is missing: restore it, so that the run can continue.")
    return found


def _require_more(run: RunDirectory, trainer: dict[str, Any], new: Extension) -> None:
    for key, done, what in (("max_epochs", new.epoch, "epoch"), ("max_steps", new.step, "step")):
        limit = trainer[key]  # or auto
        if isinstance(limit, int) and limit != -1 and limit <= done:
            several = "" if done == 1 else "s"
            raise UserError(
                f"{run.path} has done {done} {what}{several}, and trainer.{key}={limit} "
                f"leaves nothing to do: type trainer.{key}=N with more than {done}."
            )


def _rates(checkpoint: dict[str, Any]) -> list[Any]:
    states = checkpoint["optimizer_states"]
    return [group["lr"] for state in states for group in state["param_groups"]]


def extend(run: RunDirectory, plan: Plan) -> None:
    """Writes the plan into the run directory; a run that is killed while writing can still be
    resumed.

    The config is written last; until then the run has its old end.
    """
    if plan.config == run.config:
        return
    summary, was = run.summary, run.status
    kept = {key: summary[key] for key in LASTING if key in summary}
    with run.held():
        if plan.extension:
            _note(run, plan, summary)
            write_json(run.summary_file, {"status": "interrupted", **kept})
        overrides = read_overrides(run.path)
        if overrides[-len(plan.overrides) :] != plan.overrides:
            write_text(run.path / "overrides.yaml", yaml.safe_dump([*overrides, *plan.overrides]))
        write_text(run.config_file, yaml.safe_dump(plan.config, sort_keys=False))
    print(f"{run.path} was {was}; its end is now {' '.join(plan.overrides)}.")


def _note(run: RunDirectory, plan: Plan, summary: dict[str, Any]) -> None:
    """Adds the segment that has ended, with its end and results, to the manifest."""
    assert plan.extension
    step = plan.extension.step
    before = [one for one in run.manifest.get("segments", []) if one["steps"] < step]
    same = [one for one in run.manifest.get("segments", []) if one["steps"] == step]
    trainer = run.config["trainer"]
    ended = {
        "steps": step,
        "epochs": plan.extension.epoch,
        **{key.partition(".")[2]: trainer[key.partition(".")[2]] for key in ENDS},
        "summary": summary,
    }
    ended = same[0] if same else ended
    now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    ended |= {
        "extended": {"time": now, "overrides": plan.overrides, "extend": plan.extension.extend}
    }
    run.update_manifest(segments=[*before, ended])
