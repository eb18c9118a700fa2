"""Generates text with a run, from its directory."""

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
    """Returns the prompt with its continuation by the model.

    Args:
        run: the directory of a language-modelling run.
        prompt: the text to continue; empty: a new line.
        length: number of tokens to generate.
        temperature: values below 1 favour probable tokens; 0 always takes the most probable.
        top_k: sample from this many most probable tokens; None: from all.
        seed: of the random generator.
        checkpoint: a checkpoint file; None: the one that the run tested.

    Raises:
        UserError: a number is out of range, the run does not generate text, or its tokenizer does
            not have a character of the prompt.
    """
    if not 0 <= temperature < math.inf:
        raise UserError(f"temperature={temperature} should be 0 (the most probable token) or more.")
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
