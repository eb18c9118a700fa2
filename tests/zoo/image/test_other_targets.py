"""Metrics of multilabel classification and regression equal scikit-learn's."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score, mean_absolute_error, r2_score
from torch import Tensor, nn
from torchmetrics import SpearmanCorrCoef
from torchmetrics.classification import MultilabelAUROC

from arclight_zoo.image import multilabel, regression
from arclight_zoo.learning.regression import regression_scores

WIDTH = 4
UNUSED: Any = lambda *_: None  # noqa: E731


class Fixed(nn.Module):
    """Returns its input."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


def uneven(outputs: Tensor, targets: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    for cut in (slice(0, 40), slice(40, 59), slice(59, 60)):
        yield outputs[cut, :, None, None], targets[cut]


def test_several_classes() -> None:
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(60, WIDTH, generator=draw)
    targets = (torch.rand(60, WIDTH, generator=draw) < 0.3).to(torch.uint8)
    targets[:, 3] = 0  # never occurs
    metrics = {"auroc": MultilabelAUROC(WIDTH, average="micro")}
    task = multilabel.ImageMultilabel(Fixed(), None, UNUSED, UNUSED, metrics=metrics)
    for batch in uneven(logits, targets):
        task.validation_step(batch, 0)
    found = task._evaluated("val")
    chances, truth = logits.sigmoid().numpy(), targets.numpy()
    said = chances >= 0.5
    loss = nn.functional.binary_cross_entropy_with_logits(logits, targets.float())
    assert found["val/loss"] == pytest.approx(float(loss))
    expected = average_precision_score(truth[:, :3], chances[:, :3], average="macro")
    assert found["val/map"] == pytest.approx(expected)
    assert found["val/f1"] == pytest.approx(f1_score(truth, said, average="macro", zero_division=0))
    assert found["val/f1_micro"] == pytest.approx(f1_score(truth, said, average="micro"))
    once = MultilabelAUROC(WIDTH, average="micro")
    assert torch.equal(found["val/auroc"], once(logits.sigmoid(), targets.long()))
    step = task.training_step(next(uneven(logits, targets)), 0)
    assert torch.equal(
        step, nn.functional.binary_cross_entropy_with_logits(logits[:40], targets[:40].float())
    )


def test_no_class_at_all() -> None:
    nothing = torch.zeros(3, WIDTH)
    assert multilabel.scores(nothing, nothing.bool()) == {"map": 0, "f1": 0, "f1_micro": 0}


@pytest.mark.filterwarnings("ignore:Metric `SpearmanCorrcoef` will save all")
@pytest.mark.parametrize("width", [1, 3])
def test_numbers(width: int) -> None:
    draw = torch.Generator().manual_seed(0)
    targets = 1950 + 50 * torch.rand(60, width, generator=draw)  # far from 0: sums would be rounded
    outputs = targets + torch.randn(60, width, generator=draw)
    metrics: Any = {"rank": SpearmanCorrCoef()} if width == 1 else {}
    task = regression.ImageRegression(Fixed(), None, UNUSED, UNUSED, metrics=metrics)
    for batch in uneven(outputs, targets):
        task.test_step(batch, 0)
    found = task._evaluated("test")
    assert found["test/loss"] == pytest.approx(float((outputs - targets).square().mean()))
    a, b = targets.double().numpy(), outputs.double().numpy()
    assert found["test/mae"] == pytest.approx(mean_absolute_error(a, b), rel=1e-12)
    assert found["test/r2"] == pytest.approx(r2_score(a, b), rel=1e-12)
    if metrics:
        once = SpearmanCorrCoef()(outputs[:, 0], targets[:, 0])
        assert torch.equal(found["test/rank"], once)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_a_constant_target(shift: float) -> None:
    targets = torch.stack([torch.arange(4.0), torch.ones(4)], 1)
    outputs = targets + torch.tensor([0.5, shift])
    expected = r2_score(targets.numpy(), outputs.numpy().astype(np.float64))
    assert regression_scores(outputs, targets)["r2"] == pytest.approx(expected)
