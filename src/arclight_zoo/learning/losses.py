"""The loss of classification, as a config says it."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from arclight.errors import UserError

__all__ = ["classification_loss", "require_no_parameters"]


def classification_loss(
    loss: nn.Module | None,
    label_smoothing: float,
    class_weights: Literal["balanced"] | Sequence[float] | None,
    class_counts: Sequence[int],
    num_classes: int | None,
) -> nn.Module:
    """A module that takes logits `(batch, classes)` and targets: classes, or shares of each.

    Args:
        loss: `task.loss`; None: cross-entropy.
        label_smoothing: of cross-entropy.
        class_weights: `balanced`, or a weight for each class; None: all count alike.
        class_counts: training examples of each class; empty where they are not known.
        num_classes: None where it is not known.

    Raises:
        UserError: these do not go together.
    """
    if loss is None:
        loss = nn.CrossEntropyLoss(label_smoothing=label_smoothing)
    else:
        require_no_parameters(loss)
        if label_smoothing:
            raise UserError(
                f"task.label_smoothing={label_smoothing} is of the cross-entropy, and task.loss is "
                f"{type(loss).__name__}: type task.label_smoothing=0, and give the loss its own "
                "where it has one."
            )
    if class_weights is None:
        return loss
    if getattr(loss, "weight", 0) is not None:  # torch's losses have it None where none are given
        raise UserError(
            f"{type(loss).__name__} takes no weights of classes (it has no open `weight`): type "
            "task.class_weights=null, or choose another task.loss."
        )
    loss.register_buffer("weight", _weights(class_weights, class_counts, num_classes))
    return loss


def require_no_parameters(loss: nn.Module) -> None:
    """Raises `UserError` where a loss has parameters: the optimizer has the model's alone."""
    if any(True for _ in loss.parameters()):
        raise UserError(
            f"task.loss={type(loss).__name__} has parameters, and only the model's are trained: "
            "put them into the model, or write a task of your own with configure_optimizers."
        )


def _weights(
    class_weights: Literal["balanced"] | Sequence[float],
    class_counts: Sequence[int],
    num_classes: int | None,
) -> Tensor:
    if class_weights == "balanced":
        if not class_counts:
            raise UserError(
                "task.class_weights=balanced needs the number of training examples of each class, "
                "which these data do not tell: give a list with a weight for each class."
            )
        return balanced(class_counts)
    if num_classes is not None and len(class_weights) != num_classes:
        raise UserError(
            f"task.class_weights has {len(class_weights)} weights for {num_classes} classes: give "
            "one for each, in the order of the classes' names."
        )
    if min(class_weights) < 0:
        raise UserError(f"task.class_weights={class_weights} should be numbers of 0 or more.")
    return torch.tensor(class_weights, dtype=torch.float32)


def balanced(counts: Sequence[int]) -> Tensor:
    """`examples / (classes * count)` of each class, as scikit-learn's `balanced`: `(classes,)`.

    A class without examples weighs nothing and is not counted among the classes.
    """
    of_class = torch.tensor(counts, dtype=torch.float64)
    there = of_class > 0
    weights = of_class.sum() / (there.sum() * of_class.clamp(min=1))
    return torch.where(there, weights, 0.0).float()
