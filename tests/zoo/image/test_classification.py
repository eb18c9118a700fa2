"""The figures of an evaluation are those of scikit-learn, whatever the batches."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, log_loss
from torch import Tensor, nn

from arclight_zoo.image.classification import ImageClassification
from arclight_zoo.pixels.image_facts import ImageFacts

CLASSES = 7


class Fixed(nn.Module):
    """Its logits are its input."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


def task(**options: float) -> ImageClassification:
    facts = ImageFacts(
        num_classes=CLASSES,
        class_names=list("abcdefg"),
        image_size=1,
        channels=CLASSES,
        mean=[0.0],
        std=[1.0],
        sizes={},
        fingerprint="",
    )
    unused = lambda *_: None  # noqa: E731
    return ImageClassification(Fixed(), unused, unused, facts=facts, **options)  # type: ignore[arg-type]


def test_figures_are_exact_for_uneven_batches() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(100, CLASSES, generator=generator) * 2
    labels = torch.randint(0, CLASSES - 1, (100,), generator=generator)  # one class never occurs
    module = task()
    for part in (slice(0, 60), slice(60, 99), slice(99, 100)):
        module.validation_step((logits[part, :, None, None], labels[part]), 0)
    found = module.results("val")
    chances = logits.softmax(1).numpy()
    guessed = chances.argmax(1)
    ranks = np.argsort(-chances, axis=1)[:, :5]
    assert found["val/accuracy"] == pytest.approx(accuracy_score(labels, guessed))
    assert found["val/loss"] == pytest.approx(log_loss(labels, chances, labels=range(CLASSES)))
    assert found["val/f1"] == pytest.approx(f1_score(labels, guessed, average="macro"))
    assert found["val/top5"] == pytest.approx((ranks == labels.numpy()[:, None]).any(1).mean())


def test_each_evaluation_starts_from_nothing() -> None:
    module = task()
    right, wrong = torch.eye(CLASSES)[:2, :, None, None], torch.eye(CLASSES)[2:4, :, None, None]
    module.validation_step((right, torch.tensor([0, 1])), 0)
    assert module.results("val")["val/accuracy"] == 1.0
    module.validation_step((wrong, torch.tensor([0, 1])), 0)
    assert module.results("val")["val/accuracy"] == 0.0


def test_soft_targets_and_smoothing_train() -> None:
    module = task(label_smoothing=0.1)
    images = torch.eye(CLASSES)[:2, :, None, None]
    soft = torch.tensor([[0.75, 0.25], [0.0, 1.0]]) @ torch.eye(CLASSES)[:2]
    loss = module.training_step((images, soft), 0)
    expected = nn.functional.cross_entropy(images.flatten(1), soft, label_smoothing=0.1)
    assert torch.equal(loss, expected)
    figures, examples = module.sums.read()
    assert examples == 2
    assert figures == {"loss": pytest.approx(expected.item()), "accuracy": 1.0}
