"""What a run has learnt, from its directory alone: its model, and inputs of the shape it takes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from arclight.data.facts import Facts, ImageFacts, TextFacts
from arclight.data.text.pairs import IGNORED
from arclight.errors import UserError
from arclight.run.directory import RunDirectory
from arclight.run.evaluate import chosen_checkpoint
from arclight.tasks.captioning import Captioning
from arclight.tasks.contrastive import Contrastive
from arclight.tasks.image_classification import ImageClassification
from arclight.tasks.language_modelling import LanguageModelling
from arclight.tasks.sequence_to_sequence import SequenceToSequence
from arclight.tasks.task import Task
from arclight.tasks.text_classification import TextClassification


@dataclass
class Trained:
    """A run's model with a checkpoint's weights, in evaluation, on the CPU."""

    run: RunDirectory
    config: dict[str, Any]
    facts: Facts
    task: Task

    @property
    def model(self) -> nn.Module:
        return self.task.model

    def inputs(self, batch: int, seed: int = 0) -> dict[str, Tensor]:
        """Random inputs of the model by name, of the shapes that the run's data have."""
        draw = torch.Generator().manual_seed(seed)
        made: Inputs = INPUTS[type(self.task)](self.config["data"], self.facts, batch, draw)
        return made


def trained(run: RunDirectory, checkpoint: str | None = None) -> Trained:
    """The run's model as it was tested, or as another checkpoint has it.

    Raises:
        UserError: there is no checkpoint, or it cannot be read.
    """
    file: Path = chosen_checkpoint(run, checkpoint)
    if "data" not in run.manifest:
        raise UserError(f"{run.path} has not read its data yet; train it first.")

    from arclight.data.facts import read_facts
    from arclight.run.parts import build_task
    from arclight.training.checkpoints import load_weights

    config, facts = run.config, read_facts(run.manifest["data"])
    task = build_task(config, facts, run.path)
    load_weights(task, file)
    task.model.to(memory_format=torch.contiguous_format)
    task.eval().requires_grad_(False)
    return Trained(run, config, facts, task)


Inputs = dict[str, Tensor]


def _of_images(data: Any, facts: ImageFacts, batch: int, draw: torch.Generator) -> Inputs:
    shape = (batch, facts.channels, facts.image_size, facts.image_size)
    return {"images": torch.randn(shape, generator=draw)}


def _of_tokens(data: Any, facts: TextFacts, batch: int, draw: torch.Generator) -> Inputs:
    return {"tokens": _drawn(facts.vocab_size, batch, facts.context, draw)}


def _of_texts(data: Any, facts: TextFacts, batch: int, draw: torch.Generator) -> Inputs:
    return {**_of_tokens(data, facts, batch, draw), "mask": _mask(batch, facts.context, draw)}


def _of_pairs(data: Any, facts: TextFacts, batch: int, draw: torch.Generator) -> Inputs:
    long, short = data["max_length"], data["max_target_length"]
    target = _drawn(facts.vocab_size, batch, short, draw)
    return {
        "source": _drawn(facts.vocab_size, batch, long, draw),
        "mask": _mask(batch, long, draw),
        "target": target.masked_fill(~_mask(batch, short, draw), IGNORED),
    }


def _of_captions(data: Any, facts: Any, batch: int, draw: torch.Generator) -> Inputs:
    return _of_images(data, facts, batch, draw) | _of_texts(data, facts, batch, draw)


INPUTS: dict[type[Task], Any] = {
    ImageClassification: _of_images,
    TextClassification: _of_texts,
    LanguageModelling: _of_tokens,
    SequenceToSequence: _of_pairs,
    Captioning: _of_captions,
    Contrastive: _of_captions,
}


def _drawn(vocab_size: int, batch: int, length: int, draw: torch.Generator) -> Tensor:
    return torch.randint(vocab_size, (batch, length), generator=draw)


def _mask(batch: int, length: int, draw: torch.Generator) -> Tensor:
    """Texts of any length from one token on, filled up on the right."""
    lengths = torch.randint(1, length + 1, (batch, 1), generator=draw)
    return torch.arange(length) < lengths
