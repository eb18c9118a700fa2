"""Classification losses agree with their formulas, torch and scikit-learn."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn

from arclight.errors import UserError
from arclight_zoo.learning.focal import FocalLoss
from arclight_zoo.learning.losses import balanced, classification_loss

CLASSES = 5
WEIGHT = torch.tensor([1.0, 2.0, 0.5, 0.0, 3.0])


def examples() -> tuple[Tensor, Tensor, Tensor]:
    """Logits, classes, and class probabilities."""
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(30, CLASSES, generator=draw) * 3
    classes = torch.randint(0, CLASSES, (30,), generator=draw)
    return logits, classes, torch.rand(30, CLASSES, generator=draw).softmax(1)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_focal_loss_matches_its_formula(gamma: float, weight: Tensor | None) -> None:
    logits, classes, _ = examples()
    total = share = 0.0
    for row, right in zip(logits.double(), classes.tolist(), strict=True):
        p = float(row.exp()[right] / row.exp().sum())
        alpha = 1.0 if weight is None else float(weight[right])
        total -= alpha * (1 - p) ** gamma * np.log(p)
        share += alpha
    assert float(FocalLoss(gamma, weight)(logits, classes)) == pytest.approx(total / share)


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_focal_without_gamma_is_cross_entropy(weight: Tensor | None) -> None:
    logits, classes, shares = examples()
    for targets in (classes, shares):
        expected = F.cross_entropy(logits, targets, weight)
        torch.testing.assert_close(FocalLoss(0.0, weight)(logits, targets), expected)


def test_focal_loss_is_the_same_for_one_hot_targets() -> None:
    logits, classes, _ = examples()
    soft = F.one_hot(classes, CLASSES).float()
    torch.testing.assert_close(FocalLoss()(logits, soft), FocalLoss()(logits, classes))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_loss_has_finite_gradients_for_certain_predictions(gamma: float) -> None:
    logits = torch.tensor([[200.0, 0.0], [0.0, 200.0]], requires_grad=True)
    FocalLoss(gamma)(logits, torch.tensor([0, 0])).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_default_is_bitwise_cross_entropy(smoothing: float) -> None:
    logits, classes, shares = examples()
    loss = classification_loss(None, smoothing, None, [], CLASSES)
    for targets in (classes, shares):
        expected = F.cross_entropy(logits, targets, label_smoothing=smoothing)
        assert torch.equal(loss(logits, targets), expected)


def test_balanced_weights_match_scikit_learn() -> None:
    labels = np.repeat([0, 1, 3], [7, 2, 11])
    expected = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=labels)
    assert balanced([7, 2, 0, 11]).tolist() == pytest.approx([*expected[:2], 0.0, expected[2]])


@pytest.mark.parametrize("kind", [nn.CrossEntropyLoss, FocalLoss])
def test_class_weights_apply_to_a_configured_loss(kind: Any) -> None:
    logits, classes, _ = examples()
    found = classification_loss(kind(), 0.0, WEIGHT.tolist(), [], CLASSES)
    torch.testing.assert_close(found(logits, classes), kind(weight=WEIGHT)(logits, classes))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ((FocalLoss(), 0.1, None, [], 3), "type task.label_smoothing=0"),
        ((nn.Linear(2, 2), 0.0, None, [], 3), "has parameters"),
        ((nn.MultiMarginLoss(weight=torch.ones(3)), 0.0, [1.0] * 3, [], 3), "no unset `weight`"),
        ((nn.SoftMarginLoss(), 0.0, "balanced", [1, 2, 3], 3), "no unset `weight`"),
        ((None, 0.0, "balanced", [], 3), "give a list with one weight per class"),
        ((None, 0.0, [1.0, 2.0], [], 3), "has 2 weights for 3 classes"),
        ((None, 0.0, [1.0, -2.0, 1.0], [], 3), "numbers of 0 or more"),
    ],
)
def test_options_that_do_not_fit_together_are_rejected(given: Any, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        classification_loss(*given)
