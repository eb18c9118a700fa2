"""Evaluation metrics equal those of torchmetrics at lower cost."""

from collections.abc import Iterator

import pytest
import torch
from torchmetrics.classification import MulticlassConfusionMatrix

from arclight.costs.meter import Meter
from arclight.tasks.scores import ClassScores, ConfusionMatrix


@pytest.fixture
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("classes", [2, 7, 300])
def test_the_confusion_matrix_is_torchmetrics(classes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = ConfusionMatrix(classes), MulticlassConfusionMatrix(classes)
    for _ in range(2):
        for batch in (50, 1, 200):
            logits = torch.randn(batch, classes, generator=generator)
            labels = torch.randint(classes, (batch,), generator=generator)
            for metric in (ours, theirs):
                metric.update(logits, labels)
        assert torch.equal(ours.compute(), theirs.compute())
        assert ours.compute().sum() == 251
        for metric in (ours, theirs):
            metric.reset()


def test_counting_needs_no_table_of_all_pairs_of_classes(deterministic: None) -> None:
    scores = ClassScores(1000)
    logits, labels = torch.randn(64, 1000), torch.arange(64)
    with Meter() as meter:
        scores.add(logits, labels)
    assert meter.peak < scores.confusion.counts.nbytes + 20 * logits.nbytes
    figures, matrix = scores.read("val")
    assert matrix.sum() == 64
    assert figures["val/accuracy"] == (logits.argmax(1) == labels).float().mean()
