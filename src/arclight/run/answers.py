"""What a run's model says of new images and texts, by the task that it learnt."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor

from arclight.data.decode import model_input
from arclight.data.facts import ImageFacts, ImageTextFacts, TextFacts
from arclight.data.text import tokenizer as tokenizers
from arclight.data.text.ragged import padding_of, token_of
from arclight.errors import UserError
from arclight.run.directory import RunDirectory
from arclight.tasks.captioning import Captioning
from arclight.tasks.contrastive import Contrastive
from arclight.tasks.image_classification import ImageClassification
from arclight.tasks.language_modelling import LanguageModelling
from arclight.tasks.sequence_to_sequence import SequenceToSequence
from arclight.tasks.task import Task
from arclight.tasks.text_classification import TextClassification

BATCH = 256
Rows = list[list[str]]


@dataclass
class Asked:
    """What is asked about.

    Attributes:
        place: an image, a folder of images, or a file with a text in each line.
        gaps: what gets no answer, by its number: blank lines, and images that cannot be read.
        faults: of those images, what is wrong.
    """

    place: Path
    gaps: dict[int, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def answers(task: Task, facts: Any, run: RunDirectory, asked: Asked) -> Rows:
    """A header, and a row for each image or line; it is empty behind the name where there is a gap.

    Raises:
        UserError: the task answers nothing by itself, or there is nothing that it takes.
    """
    header, *rows = _answer_of(task, run)(task, facts, run, asked)
    for number, name in sorted(asked.gaps.items()):
        rows.insert(number, [name, *("" for _ in header[1:])])
    return [header, *rows]


def _answer_of(task: Task, run: RunDirectory) -> "Answer":
    if isinstance(task, LanguageModelling) and "masked" in run.config["data"]:
        return _hidden_tokens
    for kind, answer in ANSWERS.items():
        if isinstance(task, kind):
            return answer
    raise UserError(
        f"{run.path} is a run of {type(task).__name__}, which continues texts: "
        f'type python scripts/generate.py run={run.path} prompt="...".'
    )


def _labels_of_images(task: Any, facts: Any, run: RunDirectory, asked: Asked) -> Rows:
    rows = [["file", "label", *facts.class_names]]
    for files, images in _images(asked, facts, task.device):
        rows += _labelled(files, task.predict_step(images, 0), facts.class_names)
    return rows


def _labels_of_texts(task: Any, facts: TextFacts, run: RunDirectory, asked: Asked) -> Rows:
    rows = [["text", "label", *facts.class_names]]
    for texts, tokens, mask in _texts(asked, _tokenizer(run), facts.context, task.device):
        rows += _labelled(texts, task.predict_step((tokens, mask), 0), facts.class_names)
    return rows


def _texts_of_texts(task: Any, facts: TextFacts, run: RunDirectory, asked: Asked) -> Rows:
    tokenizer = _tokenizer(run)
    length = run.config["data"]["max_length"]
    end = tokenizers.end_of(tokenizer)
    rows = [["text", "answer"]]
    for texts, tokens, mask in _texts(asked, tokenizer, length, task.device):
        made = task.model.generate(tokens, mask, run.config["data"]["max_target_length"], end)
        rows += _beside(texts, _said(tokenizer, made, end))
    return rows


def _hidden_tokens(task: Any, facts: TextFacts, run: RunDirectory, asked: Asked) -> Rows:
    """The likeliest token in each place that a line hides, each by itself."""
    tokenizer = _tokenizer(run, frame=False)  # training has none
    tokenizer.encode_special_tokens = False  # the mask in a line stands for what it hides
    mask = token_of(tokenizer, *tokenizers.MASKS)
    assert mask is not None  # or it could not have been trained
    name = tokenizer.id_to_token(mask)
    rows = [["text", "answer"]]
    for line in _lines(asked):  # one by one: the model sees no padding in training
        tokens, _ = _encoded(tokenizer, [line], facts.context, task.device)
        hidden = tokens == mask
        if not bool(hidden.any()):
            raise UserError(
                f"The line {line[:40]!r} of {asked.place} hides nothing that {run.path} could "
                f"tell: write {name} where a word is to be found."
            )
        told = torch.where(hidden, task.model(tokens).argmax(-1), tokens)
        rows += _beside([line], _said(tokenizer, told, None))
    return rows


def _captions_of_images(task: Any, facts: ImageTextFacts, run: RunDirectory, asked: Asked) -> Rows:
    tokenizer = _tokenizer(run)
    rows = [["file", "caption"]]
    for files, images in _images(asked, facts, task.device):
        made = task.model.generate(images, facts.context, facts.end)
        rows += _beside(files, _said(tokenizer, made, facts.end))
    return rows


def _classes_of_images(task: Any, facts: ImageTextFacts, run: RunDirectory, asked: Asked) -> Rows:
    """Zero-shot: the class whose captions are nearest to the image."""
    if not facts.class_names:
        raise UserError(
            f"{run.path} learnt captions and no classes, so that there is none to choose; "
            "train with data.captions to have them."
        )
    data = run.config["data"]
    words = data["words"] or facts.class_names
    templates = data["captions"]
    captions = [template.replace("{}", word) for word in words for template in templates]
    tokens, mask = _encoded(_tokenizer(run), captions, facts.context, task.device)
    embedded = task.model.embed_texts(tokens, mask).unflatten(0, (-1, len(templates)))
    texts = F.normalize(embedded.mean(1), dim=-1)  # as the task's evaluation does
    rows = [["file", "label", *facts.class_names]]
    for files, images in _images(asked, facts, task.device):
        chances = (task.model.scale() * task.model.embed_images(images) @ texts.T).softmax(1)
        rows += _labelled(files, chances, facts.class_names)
    return rows


Answer = Callable[[Any, Any, RunDirectory, Asked], Rows]
ANSWERS: dict[type[Task], Answer] = {
    ImageClassification: _labels_of_images,
    TextClassification: _labels_of_texts,
    SequenceToSequence: _texts_of_texts,
    Captioning: _captions_of_images,
    Contrastive: _classes_of_images,
}


def _labelled(names: Sequence[str], chances: Tensor, classes: Sequence[str]) -> Rows:
    best = chances.argmax(1).tolist()
    pairs = zip(names, best, chances.tolist(), strict=True)
    return [[name, classes[label], *(f"{p:.6f}" for p in row)] for name, label, row in pairs]


def _beside(names: Sequence[str], answers: Sequence[str]) -> Rows:
    return [[name, answer] for name, answer in zip(names, answers, strict=True)]


def _images(
    asked: Asked, facts: ImageFacts, device: torch.device
) -> Iterator[tuple[list[str], Tensor]]:
    files = image_files(asked.place)
    for start in range(0, len(files), BATCH):
        names, images = [], []
        for number, file in enumerate(files[start : start + BATCH], start):
            try:
                images.append(model_input(file, facts))
                names.append(str(file))
            except UserError as error:  # the others have their answers all the same
                asked.gaps[number] = str(file)
                asked.faults.append(str(error))
        if images:
            yield names, torch.cat(images).to(device)


def image_files(place: Path) -> list[Path]:
    """The image itself, or all images below a folder, sorted.

    Raises:
        UserError: there is no image in it.
    """
    if place.is_file():
        return [place]
    known = Image.registered_extensions()
    files = sorted(f for f in place.rglob("*") if f.suffix.lower() in known)
    if not files:
        raise UserError(f"input={place} holds no image; name a folder with image files.")
    return files


def _tokenizer(run: RunDirectory, frame: bool = True) -> Tokenizer:
    kept = tokenizers.load(run.path)
    if kept is None:
        raise UserError(f"{run.path} has lost its {tokenizers.FILE}: put it back.")
    return tokenizers.framed(kept) if frame else kept


def _texts(
    asked: Asked, tokenizer: Tokenizer, length: int, device: torch.device
) -> Iterator[tuple[list[str], Tensor, Tensor]]:
    lines = _lines(asked)
    for start in range(0, len(lines), BATCH):
        part = lines[start : start + BATCH]
        yield part, *_encoded(tokenizer, part, length, device)


def _lines(asked: Asked) -> list[str]:
    """Those that are not blank: what ends a line of a file, and nothing else, ends a text."""
    place = asked.place
    if not place.is_file():
        raise UserError(f"input={place} is a folder; name a file with one text in each line.")
    try:
        content = place.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{place} is no text in UTF-8 ({error.reason}): convert it, for example with iconv -f "
            "latin1 -t utf-8."
        ) from error
    every = content.removesuffix("\n").split("\n")
    asked.gaps = {number: line for number, line in enumerate(every) if not line.strip()}
    lines = [line for line in every if line.strip()]
    if not lines:
        raise UserError(f"input={place} holds no text; name a file with one text in each line.")
    return lines


def _encoded(
    tokenizer: Tokenizer, texts: list[str], length: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(pad_id=padding_of(tokenizer))
    found = tokenizer.encode_batch(texts)
    tokens = torch.tensor([one.ids for one in found], device=device)
    own = [one.attention_mask for one in found]
    return tokens, torch.tensor(own, dtype=torch.bool, device=device)


def _said(tokenizer: Tokenizer, made: Tensor, end: int | None) -> list[str]:
    rows = [row[: row.index(end)] if end in row else row for row in made.tolist()]
    return [str(text) for text in tokenizer.decode_batch(rows)]
