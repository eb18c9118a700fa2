"""Evaluation metrics equal scikit-learn's for any batches."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, log_loss
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy, MulticlassAUROC, MulticlassRecall

from arclight.data.facts import Facts
from arclight.errors import UserError
from arclight_zoo.image.classification import ImageClassification
from arclight_zoo.pixels.image_facts import ImageFacts

CLASSES = 7


class Fixed(nn.Module):
    """Its logits are its input."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


def task(**options: Any) -> ImageClassification:
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
    return ImageClassification(Fixed(), facts, unused, unused, **options)  # type: ignore[arg-type]


def test_metrics_are_exact_for_uneven_batches() -> None:
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


def test_metrics_are_reset_between_evaluations() -> None:
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


def batches() -> list[tuple[Tensor, Tensor]]:
    """Batches of different sizes; the logits of the last one are all in 0 to 1."""
    draw = torch.Generator().manual_seed(1)
    logits = torch.randn(50, CLASSES, generator=draw) * 2
    logits[49] = torch.rand(CLASSES, generator=draw)
    labels = torch.randint(0, CLASSES, (50,), generator=draw)
    cuts = (slice(0, 30), slice(30, 49), slice(49, 50))
    return [(logits[cut, :, None, None], labels[cut]) for cut in cuts]


def test_configured_metrics_get_probabilities() -> None:
    module = task(
        metrics={"auroc": MulticlassAUROC(CLASSES), "each": MulticlassRecall(CLASSES, average=None)}
    )
    for batch in batches() * 2:  # two equal evaluations
        module.test_step(batch, 0)
    once = MulticlassAUROC(CLASSES)
    logits = torch.cat([images for images, _ in batches()]).flatten(1)
    labels = torch.cat([labels for _, labels in batches()])
    expected = float(once(logits.softmax(1), labels))
    found = module._evaluated("test")
    assert float(found["test/auroc"]) == pytest.approx(expected)
    assert {f"test/each_{i}" for i in range(CLASSES)} < set(found)
    assert not module.metrics["auroc"].update_called  # was reset


def test_evaluation_uses_the_configured_loss_without_class_weights() -> None:
    logits = torch.cat([images for images, _ in batches()]).flatten(1)
    labels = torch.cat([labels for _, labels in batches()])
    plain = nn.functional.cross_entropy(logits, labels).item()
    weighted = task(class_weights=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], label_smoothing=0.1)
    margin = task(loss=nn.MultiMarginLoss())
    for module, expected in ((weighted, plain), (margin, nn.MultiMarginLoss()(logits, labels))):
        for batch in batches():
            module.validation_step(batch, 0)
        assert module.results("val")["val/loss"] == pytest.approx(float(expected))
    step = weighted.training_step(batches()[0], 0)
    assert float(step) != pytest.approx(float(task().training_step(batches()[0], 0)))


def test_without_facts_the_logits_give_the_number_of_classes() -> None:
    unused = lambda *_: None  # noqa: E731
    module = ImageClassification(Fixed(), None, unused, unused)  # type: ignore[arg-type]
    known = task()
    for batch in batches():
        module.validation_step(batch, 0)
        known.validation_step(batch, 0)
    assert module.results("val") == known.results("val")
    assert module.class_names == [str(i) for i in range(CLASSES)]
    with pytest.raises(UserError, match="set its attribute `facts` to an ImageFacts"):
        module.example_inputs(2, torch.Generator())
    with pytest.raises(NotImplementedError):
        module.blank_batch(Facts(sizes={}, fingerprint=""), 2)


def test_configured_metrics_cannot_replace_those_of_the_task() -> None:
    module = task(metrics={"loss": MulticlassAccuracy(CLASSES)})
    module.validation_step(batches()[0], 0)
    with pytest.raises(UserError, match=r"task\.metrics\.loss would overwrite val/loss of ImageCl"):
        module._evaluated("val")
    for name in ("keys", "a.b"):
        with pytest.raises(UserError, match="torch does not accept the name"):
            task(metrics={name: MulticlassAccuracy(CLASSES)})
