"""Predictions for new images and texts."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from arclight.data.facts import Facts
from arclight.errors import UserError
from arclight.tasks.question import Question, Rows
from arclight.tasks.task import Task
from arclight.use.predict import answers
from arclight_zoo.image_text.captioning import Captioning
from arclight_zoo.image_text.contrastive import Contrastive
from arclight_zoo.image_text.facts import ImageTextFacts
from arclight_zoo.pixels.questions import image_files
from arclight_zoo.text.classification import TextClassification
from arclight_zoo.text.language_modelling import LanguageModelling
from arclight_zoo.text.sequence_to_sequence import SequenceToSequence
from arclight_zoo.tokens import tokenizer as tokenizers
from arclight_zoo.tokens.text_facts import TextFacts

UNUSED: Any = lambda *_: None  # noqa: E731
TOKENIZER = tokenizers.characters(["abcdefgh dark light"])
START, END = (TOKENIZER.token_to_id(t) for t in (tokenizers.START, tokenizers.END))


def run(folder: Path, **data: Any) -> tuple[Path, dict[str, Any]]:
    """A run's directory and config."""
    tokenizers.keep(TOKENIZER, folder)
    return folder, {"data": data}


def ask(task: Task, facts: Facts, of: tuple[Path, dict[str, Any]], place: Path) -> Rows:
    task.facts = facts
    return answers(task, Question(place, *of))


def image_facts(names: list[str]) -> ImageTextFacts:
    return ImageTextFacts(
        num_classes=2, class_names=names, image_size=2, channels=1, mean=[0.5], std=[0.5], sizes={},
        fingerprint="", vocab_size=99, context=12, pad=0, start=START, end=END,
    )  # fmt: skip


def text_facts(context: int = 12, **given: Any) -> TextFacts:
    return TextFacts(sizes={}, fingerprint="", vocab_size=99, context=context, pad=0, **given)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    (folder / "deep").mkdir(parents=True)
    for name, grey in (("b.png", 255), ("a.png", 0), ("deep/c.png", 250)):
        Image.new("L", (2, 2), grey).save(folder / name)
    (folder / "notes.txt").write_text("no image")
    return folder


class Bright(nn.Module):
    """Embeds an image by its brightness, and a text by whether it contains "light"."""

    def embed_images(self, images: Tensor) -> Tensor:
        bright = images.mean((1, 2, 3))
        return torch.stack([bright, -bright], 1)

    def embed_texts(self, tokens: Tensor, mask: Tensor) -> Tensor:
        said = TOKENIZER.decode_batch([row[own].tolist() for row, own in zip(tokens, mask)])  # noqa: B905
        rows = [(0.8, 0.6) if "bad" in text else (1.0, 0.0) for text in said]
        turned = [row if "light" in text else row[::-1] for row, text in zip(rows, said)]  # noqa: B905
        return torch.tensor(turned)

    def scale(self) -> Tensor:
        return torch.tensor(3.0)

    def generate(self, images: Tensor, length: int, end: int) -> Tensor:
        words = ["light" if bright > 0 else "dark" for bright in images.mean((1, 2, 3))]
        ids = [[*TOKENIZER.encode(word).ids, end, end, 5][:length] for word in words]
        return torch.tensor([row + [end] * (length - len(row)) for row in ids])


def test_an_image_is_of_the_class_whose_captions_are_nearest(tmp_path: Path, images: Path) -> None:
    facts = image_facts(["night", "day"])
    task = Contrastive(Bright(), facts, UNUSED, UNUSED)
    where = run(tmp_path, words=["dark", "light"], captions=["a {}", "{} bad"])
    header, *rows = ask(task, facts, where, images)
    assert header == ["file", "label", "night", "day"]
    assert [(Path(row[0]).name, row[1]) for row in rows] == [
        ("a.png", "night"), ("b.png", "day"), ("c.png", "day"),
    ]  # fmt: skip
    mean = F.normalize(torch.tensor([0.9, 0.3]), dim=0)  # of a class's captions, as in evaluation
    expected = (3 * (mean[0] - mean[1]) * torch.tensor([1.0, -1.0])).softmax(0)
    assert float(rows[0][2]) == pytest.approx(expected[0].item(), abs=1e-5)
    unnamed = image_facts([])
    task = Contrastive(Bright(), unnamed, UNUSED, UNUSED)
    with pytest.raises(UserError, match=r"trained on captions without classes, .*data\.captions"):
        ask(task, unnamed, where, images)


def test_a_caption_ends_where_it_says(tmp_path: Path, images: Path) -> None:
    facts = image_facts([])
    task = Captioning(Bright(), facts, UNUSED, UNUSED)
    header, *rows = ask(task, facts, run(tmp_path), images / "b.png")
    assert header == ["file", "caption"]
    assert rows == [[str(images / "b.png"), "light"]]


class First(nn.Module):
    """The class is that of the first letter; the answer is the text without it."""

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        assert (tokens[~mask] == 0).all()
        assert (tokens[:, 0] == START).all()
        return torch.stack([tokens[:, 1] * 1.0, TOKENIZER.token_to_id("c") + 0.5 * mask[:, 0]], 1)

    def generate(self, tokens: Tensor, mask: Tensor, length: int, stop: int) -> Tensor:
        return tokens.masked_fill(~mask, stop)[:, 2 : 2 + length]


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    file = tmp_path / "lines.txt"
    file.write_text("abc\n\nhgf dark light and more\n")
    return file


def test_each_line_has_its_class(tmp_path: Path, lines: Path) -> None:
    facts = text_facts(class_names=["late", "early"])
    task = TextClassification(First(), facts, UNUSED, UNUSED)
    header, *rows = ask(task, facts, run(tmp_path), lines)
    assert header == ["text", "label", "late", "early"]
    assert [row[:2] for row in rows] == [
        ["abc", "early"], ["", ""], ["hgf dark light and more", "late"],
    ]  # fmt: skip
    assert rows[1] == [""] * 4


def test_each_line_has_its_answer(tmp_path: Path, lines: Path) -> None:
    facts = text_facts(9, target_context=7)
    task = SequenceToSequence(First(), facts, UNUSED, UNUSED)
    found = ask(task, facts, run(tmp_path), lines)
    assert found == [
        ["text", "answer"],
        ["abc", "bc"],
        ["", ""],
        ["hgf dark light and more", "gf dar"],
    ]


def test_row_n_belongs_to_line_n(tmp_path: Path, lines: Path) -> None:
    """Only a line's end ends a text, on whatever system the file was written."""
    facts = text_facts(9, target_context=7)
    task = SequenceToSequence(First(), facts, UNUSED, UNUSED)
    content = ["", "abc", " ", "a\x0bb", "cd\u2028e", "f\x85g", "", ""]
    where = run(tmp_path)
    for end in ("\n", "\r\n"):
        lines.write_bytes((end.join(content) + end).encode("utf-8-sig"))
        _, *rows = ask(task, facts, where, lines)
        assert [text for text, _ in rows] == content
        assert [bool(answer) for _, answer in rows] == [bool(text.strip()) for text in content]
    lines.write_bytes("Straße".encode("latin1"))
    with pytest.raises(UserError, match=r"is not text in UTF-8 \(.*\): convert it, .* iconv -f"):
        ask(task, facts, where, lines)


@pytest.mark.parametrize("batch", [1, 2, 256])
def test_an_image_that_cannot_be_read_has_a_row(
    tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr("arclight_zoo.pixels.questions.BATCH", batch)
    (images / "aa.png").write_bytes(b"no image")
    facts, question = image_facts([]), Question(images, *run(tmp_path))
    task = Captioning(Bright(), facts, UNUSED, UNUSED)
    task.facts = facts
    _, *rows = answers(task, question)
    assert [(Path(file).name, caption) for file, caption in rows] == [
        ("a.png", "dark"), ("aa.png", ""), ("b.png", "light"), ("c.png", "light"),
    ]  # fmt: skip
    assert question.faults == [f"{images}/aa.png cannot be read as an image: replace or remove it."]


class Spells(nn.Module):
    """In each place belongs the letter after that of the place before."""

    def forward(self, tokens: Tensor) -> Tensor:
        return F.one_hot((tokens.roll(1, 1) + 1).clamp(max=98), 99).float()


def test_masked_letters_are_predicted(tmp_path: Path, lines: Path) -> None:
    facts = text_facts()
    task = LanguageModelling(Spells(), facts, UNUSED, UNUSED)
    lines.write_text("a<mask>a\nc<mask>e<mask>\n")
    where = run(tmp_path, masked=0.15)
    found = ask(task, facts, where, lines)
    assert found == [["text", "answer"], ["a<mask>a", "aba"], ["c<mask>e<mask>", "cdef"]]
    lines.write_text("a<mask>\nabc\n")
    with pytest.raises(
        UserError, match=r"The line 'abc' of .* has no masked word .*: write <mask>"
    ):
        ask(task, facts, where, lines)


def test_special_tokens_in_a_line_are_text(tmp_path: Path, lines: Path) -> None:
    """Where nothing is hidden, `<mask>` is six characters, as it was in training."""
    facts = text_facts(9, target_context=7)
    task = SequenceToSequence(First(), facts, UNUSED, UNUSED)
    lines.write_text("h</s>g\n")
    mask = TOKENIZER.token_to_id(tokenizers.MASK)
    with_unknown = run(tmp_path)
    made: list[Tensor] = []
    task.model.generate = lambda tokens, *_: made.append(tokens) or tokens[:, :1]  # type: ignore[assignment, func-returns-value]
    ask(task, facts, with_unknown, lines)
    (tokens,) = made
    assert tokens.tolist()[0].count(END) == 1
    assert tokens.tolist()[0][-1] == END
    assert mask not in tokens


def test_invalid_inputs_are_user_errors(tmp_path: Path, images: Path, lines: Path) -> None:
    facts = text_facts(class_names=["late", "early"])
    task = TextClassification(First(), facts, UNUSED, UNUSED)
    with pytest.raises(UserError, match="is a folder: type input=FILE with one text per line"):
        ask(task, facts, run(tmp_path), images)
    lines.write_text("\n \n")
    with pytest.raises(UserError, match="holds no text"):
        ask(task, facts, run(tmp_path), lines)
    (tmp_path / tokenizers.FILE).unlink()
    with pytest.raises(UserError, match=r"has no tokenizer\.json: put it back"):
        ask(task, facts, (tmp_path, {"data": {}}), lines)
    with pytest.raises(UserError, match="holds no image"):
        image_files(tmp_path / "none")
