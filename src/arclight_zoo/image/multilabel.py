"""Which of several classes an image shows: none, one or many."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torchmetrics.functional.classification import multilabel_average_precision

from arclight_zoo.image.outputs import RowOfOutputs
from arclight_zoo.image.pictures import precision_recall
from arclight_zoo.pixels.targets import HOLDS

THRESHOLD = 0.5  # the probability from which on a class is said to be there


class ImageMultilabel(RowOfOutputs):
    """Binary cross-entropy of each class by itself.

    Evaluation gives the mean loss; `map`, the mean over classes of the average precision; and the
    F1 at a probability of 0.5, as the mean over classes (`f1`) and over all decisions (`f1_micro`).
    Means over classes are over those that occur: in the targets, or for F1 in either.

    The model maps images to logits `(batch, classes)`. `metrics` are given probabilities and
    targets of 0 and 1, both `(batch, classes)`.
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
        """The probability of each class."""
        return outputs.sigmoid()

    def scores(self, found: Tensor, targets: Tensor) -> dict[str, float]:
        return scores(found, targets.bool())

    def count(self, found: Tensor, targets: Tensor) -> None:
        self.measure(found, targets.long())

    def answer_row(self, found: list[float], names: list[str]) -> list[str]:
        """The classes with `|` between them, and the probability of each class."""
        there = [name for name, p in zip(names, found, strict=True) if p >= THRESHOLD]
        return ["|".join(there), *(f"{p:.6f}" for p in found)]

    def pictures(self, folder: Path) -> Sequence[Path]:
        """Precision over recall of each class."""
        chances, targets = self.last
        target = folder / "precision_recall.png"
        return [precision_recall(chances, targets.bool(), self.names, target)]


def scores(chances: Tensor, targets: Tensor) -> dict[str, float]:
    """Mean average precision, macro and micro F1.

    Args:
        chances: probabilities `(examples, classes)`.
        targets: which classes are there, bool `(examples, classes)`.
    """
    there = targets.any(0)
    precision = torch.zeros(())
    if there.any():
        precision = multilabel_average_precision(
            chances[:, there], targets[:, there].long(), int(there.sum()), validate_args=False
        )
    said = chances >= THRESHOLD
    right = (said & targets).sum(0).double()
    either = (said.sum(0) + targets.sum(0)).double()
    f1 = (2 * right / either)[either > 0]
    return {
        "map": float(precision),
        "f1": float(f1.mean()) if len(f1) else 0.0,
        "f1_micro": float(2 * right.sum() / either.sum().clamp(min=1)),
    }
