"""Multilabel classification: an image shows any number of classes."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torchmetrics.functional.classification import multilabel_average_precision

from arclight_zoo.image.outputs import RowOfOutputs
from arclight_zoo.image.pictures import precision_recall
from arclight_zoo.pixels.targets import HOLDS

THRESHOLD = 0.5  # least probability of a predicted class


class ImageMultilabel(RowOfOutputs):
    """Multilabel classification with binary cross-entropy for each class.

    Evaluation reports the mean loss, the mean average precision over classes (`map`), and the F1
    score at a probability of 0.5, macro (`f1`) and micro (`f1_micro`). Means over classes skip
    classes without positive targets; macro F1 also counts those with positive predictions.

    The model maps images to logits `(batch, classes)`. `metrics` get probabilities and targets of
    0 and 1, both `(batch, classes)`.
    """

    learns_from = HOLDS["multilabel"]
    usual_loss = nn.BCEWithLogitsLoss
    columns = ("labels",)
    tags = ("multilabel",)
    answer_code = f"""    chances = dict(zip(classes, (1 / (1 + np.exp(-outputs))).tolist()))
    labels = [name for name, chance in chances.items() if chance >= {THRESHOLD}]
    print(json.dumps({{"file": file, "labels": labels, "probabilities": chances}}))
"""

    def meaning(self, outputs: Tensor) -> Tensor:
        """Class probabilities of the logits."""
        return outputs.sigmoid()

    def scores(self, found: Tensor, targets: Tensor) -> dict[str, float]:
        return scores(found, targets.bool())

    def count(self, found: Tensor, targets: Tensor) -> None:
        self.measure(found, targets.long())

    def answer_row(self, found: list[float], names: list[str]) -> list[str]:
        """The predicted classes, separated by `|`, and the probability of each class."""
        there = [name for name, p in zip(names, found, strict=True) if p >= THRESHOLD]
        return ["|".join(there), *(f"{p:.6f}" for p in found)]

    def pictures(self, folder: Path) -> Sequence[Path]:
        """Plots the precision-recall curve of each class."""
        probabilities, targets = self.last
        target = folder / "precision_recall.png"
        return [precision_recall(probabilities, targets.bool(), self.names, target)]


def scores(probabilities: Tensor, targets: Tensor) -> dict[str, float]:
    """Mean average precision, macro and micro F1.

    Args:
        probabilities: probabilities `(examples, classes)`.
        targets: true classes, bool `(examples, classes)`.
    """
    there = targets.any(0)
    precision = torch.zeros(())
    if there.any():
        precision = multilabel_average_precision(
            probabilities[:, there], targets[:, there].long(), int(there.sum()), validate_args=False
        )
    predicted = probabilities >= THRESHOLD
    right = (predicted & targets).sum(0).double()
    either = (predicted.sum(0) + targets.sum(0)).double()
    f1 = (2 * right / either)[either > 0]
    return {
        "map": float(precision),
        "f1": float(f1.mean()) if len(f1) else 0.0,
        "f1_micro": float(2 * right.sum() / either.sum().clamp(min=1)),
    }
