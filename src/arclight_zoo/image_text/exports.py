"""Shared code to export models of images with texts."""

from pathlib import Path

import torch
from torch import Tensor, nn

from arclight.tasks.task import Answer
from arclight_zoo.image_text.facts import ImageTextFacts
from arclight_zoo.nets.hf_folder import write_model
from arclight_zoo.pixels.hf_processor import write_processor
from arclight_zoo.pixels.questions import random_images
from arclight_zoo.tokens.hf_tokenizer import write_tokenizer
from arclight_zoo.tokens.questions import random_mask, random_tokens


def random_pairs(facts: ImageTextFacts, examples: int, draw: torch.Generator) -> dict[str, Tensor]:
    """Random images with random texts, as model inputs."""
    return {
        "images": random_images(facts, examples, draw),
        "tokens": random_tokens(facts.vocab_size, examples, facts.context, draw),
        "mask": random_mask(examples, facts.context, draw),
    }


def save_pair_model(model: nn.Module, facts: ImageTextFacts, folder: Path, run: Path) -> Answer:
    """Writes model, tokenizer and image processor to a folder that transformers can load."""
    again = write_model(model, folder, facts.class_names)
    write_tokenizer(run, folder, facts.context)
    write_processor(model, facts, folder)
    return again
