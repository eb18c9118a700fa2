"""Build the loss of classification from its config."""

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
    """Builds a module that takes logits `(batch, classes)` and targets.

    Targets are classes `(batch,)` or class probabilities `(batch, classes)`.

    Args:
        loss: `task.loss`; None: cross-entropy.
        label_smoothing: of cross-entropy.
        class_weights: `balanced`, or a weight for each class; None: equal weights.
        class_counts: training examples of each class; empty if unknown.
        num_classes: None if unknown.

    Raises:
        UserError: the arguments do not fit together.
    """
    if loss is None:
        loss = nn.CrossEntropyLoss(label_smoothing=label_smoothing)
    else:
        require_no_parameters(loss)
        if label_smoothing:
            raise UserError(
                f"task.label_smoothing={label_smoothing} applies to cross-entropy only, but "
                f"task.loss is {type(loss).__name__}: type task.label_smoothing=0, and set the "
                "loss's own label smoothing if it has one."
            )
    if class_weights is None:
        return loss
    if getattr(loss, "weight", 0) is not None:  # None in torch's losses without weights
        raise UserError(
            f"{type(loss).__name__} takes no class weights (it has no unset `weight`): type "
            "task.class_weights=null, or choose another task.loss."
        )
    loss.register_buffer("weight", _weights(class_weights, class_counts, num_classes))
    return loss


def require_no_parameters(loss: nn.Module) -> None:
    """Raises `UserError` if a loss has parameters: the optimizer gets only the model's."""
    if any(True for _ in loss.parameters()):
        raise UserError(
            f"task.loss={type(loss).__name__} has parameters, but only the model's are trained: "
            "put them into the model, or write your own task with configure_optimizers."
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
                "which this data module does not report: give a list with one weight per class."
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
    """`examples / (classes * count)` of each class, as in scikit-learn: `(classes,)`.

    A class without examples has weight 0 and is not counted.
    """
    of_class = torch.tensor(counts, dtype=torch.float64)
    there = of_class > 0
    weights = of_class.sum() / (there.sum() * of_class.clamp(min=1))
    return torch.where(there, weights, 0.0).float()
