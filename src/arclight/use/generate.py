"""Continue a text with a run, from its directory alone."""

import math

from arclight.errors import UserError
from arclight.provenance.code import warn_of_changes
from arclight.run.opened import open_checked
from arclight.run_directory import chosen_checkpoint


def generate(
    run: str,
    prompt: str = "",
    length: int = 200,
    temperature: float = 0.8,
    top_k: int | None = 50,
    seed: int = 0,
    checkpoint: str | None = None,
) -> str:
    """The prompt and what the model makes of it.

    Args:
        run: the directory of a run of language modelling.
        prompt: the text to continue; empty: a new line.
        length: tokens to add.
        temperature: below 1 prefers the likely; 0 takes the likeliest.
        top_k: draw among so many of the likeliest; None: among all.
        seed: of the draws.
        checkpoint: a checkpoint file; None: the one that the run tested.

    Raises:
        UserError: a number is out of range, the run does not generate text, or does not know a
            character of the prompt.
    """
    if not 0 <= temperature < math.inf:
        raise UserError(f"temperature={temperature} should be 0 (the likeliest) or more.")
    for name, count in (("length", length), ("top_k", top_k)):
        if count is not None and count < 1:
            raise UserError(f"{name}={count} should be 1 or more.")
    directory = open_checked(run)
    chosen_checkpoint(directory, checkpoint)  # before torch is imported
    if "data" not in directory.manifest:
        raise UserError(f"{run} has not read its data yet; train it first.")
    warn_of_changes(directory)

    from arclight.processes.devices import device_here
    from arclight.run.assembly import load_task
    from arclight.tasks.task import Task

    task = load_task(directory, checkpoint)
    task.to(device_here(directory.config["trainer"]))
    if not isinstance(task, Task):
        raise UserError(f"{run} is a run of {type(task).__name__}, which does not generate text.")
    return task.continue_text(directory.path, prompt, length, temperature, top_k, seed)
