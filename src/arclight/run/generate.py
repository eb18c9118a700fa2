"""Continue a text with a run, from its directory alone."""

import math
from typing import Any

from arclight.errors import UserError
from arclight.run.code import warn_of_changes
from arclight.run.directory import open_run
from arclight.run.evaluate import chosen_checkpoint


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
    directory = open_run(run)
    file = chosen_checkpoint(directory, checkpoint)
    if "data" not in directory.manifest:
        raise UserError(f"{run} has not read its data yet; train it first.")
    warn_of_changes(directory)

    import torch

    from arclight.data.facts import read_facts
    from arclight.data.text import tokenizer as tokenizers
    from arclight.run.devices import device_here
    from arclight.run.parts import build_task
    from arclight.tasks.language_modelling import LanguageModelling
    from arclight.training.checkpoints import load_weights

    facts = read_facts(directory.manifest["data"])
    task = build_task(directory.config, facts, directory.path)
    tokenizer = tokenizers.load(directory.path)
    model: Any = task.model
    if not isinstance(task, LanguageModelling) or not hasattr(model, "generate"):
        raise UserError(
            f"{run} is a run of {type(task).__name__}, which continues no text; "
            f"type python scripts/predict.py run={run} input=FILE."
        )
    if tokenizer is None:
        raise UserError(
            f"{run} was trained on ready tokens and knows no tokenizer: put the {tokenizers.FILE} "
            "that made them into its directory."
        )
    load_weights(task, file)
    device = device_here(directory.config["trainer"])
    task.to(device)
    tokens = tokenizer.encode(prompt or "\n", add_special_tokens=False).ids
    if tokenizer.token_to_id(tokenizers.UNKNOWN) in tokens:
        known = set(tokenizer.get_vocab())
        new = "".join(sorted({c for c in prompt if c not in known}))
        raise UserError(f"prompt has characters that the run never saw: {new!r}; leave them out.")
    made = model.generate(
        torch.tensor([tokens], device=device),
        length,
        temperature=temperature,
        top_k=top_k,
        stop=tokenizers.end_of(tokenizer),
        generator=torch.Generator(device).manual_seed(seed),
    )
    return str(tokenizer.decode(made[0].tolist()))
