"""Metrics of contrastive learning and captioning on known embeddings and captions."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arclight_zoo.image_text.captioning import Captioning
from arclight_zoo.image_text.contrastive import Contrastive, loss_of, ranks_of
from arclight_zoo.image_text.facts import ImageTextFacts

UNUSED: Any = lambda *_: None  # noqa: E731
PAD, START, END = 0, 2, 3


def facts() -> ImageTextFacts:
    """Facts of a table; its classes are captions without names."""
    return ImageTextFacts(
        num_classes=3,
        class_names=[],
        image_size=1,
        channels=3,
        mean=[0.0],
        std=[1.0],
        sizes={},
        fingerprint="",
        vocab_size=10,
        context=4,
        pad=PAD,
        start=START,
        end=END,
    )


class Known(nn.Module):
    """An image is its own embedding; a text is the axis of its first token."""

    def forward(self, images: Tensor, tokens: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        return images, torch.eye(3)[tokens[:, 0]], torch.tensor(2.0)


IMAGES = torch.tensor(
    [
        [1.0, 0.0, 0.0],  # of the first text, and most similar to it
        [0.6, 0.8, 0.0],  # of the first, but most similar to the second
        [0.0, 0.6, 0.8],  # of the second, but most similar to the third
        [0.0, 0.0, 1.0],  # of the third, and most similar to it
        [0.8, 0.0, 0.6],  # of the third, but most similar to the first
    ]
)
CLASSES = torch.tensor([0, 0, 1, 2, 2])


@pytest.mark.parametrize("cut", [1, 2, 4])
def test_zero_shot_and_recall_are_counted_over_the_whole_set(cut: int) -> None:
    task = Contrastive(Known(), facts(), UNUSED, UNUSED)
    mask = torch.ones(5, 1, dtype=torch.bool)
    for part in (slice(0, cut), slice(cut, 5)):
        task.test_step((IMAGES[part], CLASSES[part, None], mask[part], CLASSES[part]), 0)
    expected = F.cross_entropy(2 * IMAGES, CLASSES).item()  # a text of each class is an axis
    assert task.results("test") == pytest.approx(
        {
            "test/loss": expected,
            "test/accuracy": 2 / 5,
            "test/text_recall_at_1": 2 / 5,
            "test/text_recall_at_5": 1.0,
            "test/image_recall_at_1": 4 / 5,  # the second text finds the second image first
            "test/image_recall_at_5": 1.0,
        }
    )


class Reused(Known):
    """Overwrites its last outputs, like a replayed CUDA graph."""

    def __init__(self) -> None:
        super().__init__()
        self.places = [torch.empty(1, 3), torch.empty(1, 3), torch.empty(())]

    def forward(self, images: Tensor, tokens: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        made = super().forward(images, tokens, mask)
        return tuple(place.copy_(out) for place, out in zip(self.places, made, strict=True))


def test_outputs_that_the_next_batch_overwrites_are_copied() -> None:
    found = []
    for model in (Known(), Reused()):
        task = Contrastive(model, facts(), UNUSED, UNUSED)
        for i in range(5):
            mask = torch.ones(1, 1, dtype=torch.bool)
            one = slice(i, i + 1)
            task.validation_step((IMAGES[one], CLASSES[one, None], mask, CLASSES[one]), 0)
        found.append(task.results("val"))
    assert found[0] == found[1]


def test_any_correct_answer_counts_and_ties_do_not() -> None:
    likeness = torch.tensor([[0.9, 0.1, 0.5], [0.5, 0.5, 0.1], [0.2, 0.9, 0.8]])
    right = torch.tensor([[True, True, False], [True, False, False], [True, False, False]])
    assert ranks_of(likeness, right).tolist() == [0, 1, 2]


def test_equal_texts_of_a_batch_share_the_target() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0]])
    loss, found = loss_of(logits, torch.tensor([7, 8]), torch.tensor([7, 8, 7]))
    logs = logits.log_softmax(1)
    assert loss == pytest.approx(-((logs[0, 0] + logs[0, 2]) / 2 + logs[1, 1]).item() / 2)
    assert found == 2


class Says(nn.Module):
    """Generates fixed tokens for any image; its logits always predict token 5."""

    def __init__(self, made: list[list[int]]) -> None:
        super().__init__()
        self.made = torch.tensor(made)

    def forward(self, images: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        return torch.zeros(*tokens.shape, 10).index_fill(2, torch.tensor(5), 4.0)

    def generate(self, images: Tensor, length: int, end: int) -> Tensor:
        assert end == END
        return self.made[images.flatten().long(), :length]


def test_a_caption_is_exact_up_to_its_end() -> None:
    tokens = torch.tensor([[START, 5, 6, END], [START, 5, END, PAD], [START, 7, END, PAD]])
    mask = tokens != PAD
    task = Captioning(Says([[5, 6, END], [5, END, 9], [7, 7, END]]), facts(), UNUSED, UNUSED)
    numbers = torch.arange(3.0)[:, None]
    for part in (slice(0, 2), slice(2, 3)):
        task.test_step((numbers[part], tokens[part], mask[part], None), 0)
    found = task.results("test")
    assert found["test/exact"] == pytest.approx(2 / 3)  # tokens after the end do not count
    assert found["test/accuracy"] == pytest.approx(2 / 7)  # of seven tokens, two are 5
    sure, other = (F.cross_entropy(torch.eye(10)[5] * 4, torch.tensor(n)).item() for n in (5, 6))
    assert found["test/loss"] == pytest.approx((2 * sure + 5 * other) / 7)


def test_training_ignores_padding() -> None:
    task = Captioning(Says([[0]]), facts(), UNUSED, UNUSED)
    tokens = torch.tensor([[START, 5, END, PAD], [START, 5, 6, END]])
    loss = task.training_step((torch.zeros(2, 1), tokens, tokens != PAD, None), 0)
    short = torch.tensor([5, END, 5, 6, END])
    assert loss == pytest.approx(F.cross_entropy(torch.eye(10)[[5] * 5] * 4, short).item())
