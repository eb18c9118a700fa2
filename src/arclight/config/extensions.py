"""The extensions of a run: new ends that were set after its start, as stored in its config."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from arclight.config.signatures.annotations import annotation, fits
from arclight.config.signatures.signature import parameters
from arclight.errors import UserError

KEY = "extensions"
ENDS = ("trainer.max_epochs", "trainer.max_steps")
"""Keys that may be typed together with `resume=RUN`, to give a run another end."""


Extend = Literal["stretch", "restart", "constant"]

_KINDS = {
    "step": annotation("Natural"),
    "epoch": annotation("Natural"),
    "extend": annotation('Literal["stretch", "restart", "constant"]'),
}


def keeps_its_config(resume: object, others: Sequence[str]) -> str:
    """Says that these overrides cannot be typed together with `resume=RUN`."""
    return (
        f"resume={resume} continues a run with its own config, of which only {' and '.join(ENDS)} "
        f"may change: leave out {' '.join(others)}, or start a new run."
    )


@dataclass(frozen=True)
class Extension:
    """One extension of a run.

    Attributes:
        step: the step after which it begins.
        epoch: the number of epochs finished by then.
        extend: what the schedule does: `stretch`, `restart` or `constant`.
    """

    step: int
    epoch: int
    extend: Extend


def extensions(config: Mapping[str, Any]) -> list[Extension]:
    """Reads the extensions of a frozen config, the first one first.

    Raises:
        UserError: an extension is not valid.
    """
    nodes = config.get(KEY, [])
    for node in nodes if isinstance(nodes, list) else [nodes]:
        known = isinstance(node, dict) and set(node) == set(_KINDS)
        if not known or not all(fits(node[key], kind) for key, kind in _KINDS.items()):
            raise UserError(f"{KEY} is written by resume=RUN trainer.max_epochs=N: leave it out.")
    return [Extension(**node) for node in nodes]


def with_extension(config: Mapping[str, Any], new: Extension) -> list[dict[str, Any]]:
    """Returns the nodes of the extensions with a new one, which replaces those not begun yet."""
    return [asdict(one) for one in extensions(config) if one.step < new.step] + [asdict(new)]


def schedule_origin(config: Mapping[str, Any]) -> int:
    """Returns the step at which the schedule started last."""
    return max((one.step for one in extensions(config) if one.extend == "restart"), default=0)


def describe_last(config: Mapping[str, Any]) -> str:
    """Describes the last extension in a phrase, for the table at the start of a run."""
    last = extensions(config)[-1]
    ends = [f"{config['trainer'][k.partition('.')[2]]} {k.rpartition('_')[2]}" for k in ENDS]
    end = next((e for e in reversed(ends) if e.split()[0] not in ("-1", "None")), "no end")
    return f"from step {last.step} (epoch {last.epoch}) to {end}, {_of_the_schedule(config, last)}"


def _of_the_schedule(config: Mapping[str, Any], last: Extension) -> str:
    node = config.get("scheduler")
    if last.extend == "constant":
        return "extend=constant: the learning rate stays as it was"
    if not node:
        name = config["task"]["_target_"].rpartition(".")[2]
        how = "stretched" if last.extend == "stretch" else "restarted"
        return (
            f"extend={last.extend}: a schedule of {name} that reads its length from the trainer is "
            f"{how} for this end"
        )
    if last.extend == "restart":
        return "extend=restart: the schedule starts again, for the remaining steps"
    if "total_steps" in parameters(node["_target_"]) and node.get("total_steps") is None:
        return "extend=stretch: the schedule continues as if this had always been the end"
    return "extend=stretch: the schedule does not depend on the end and continues unchanged"
