"""Numbers that an image tells: an age, a count, a position."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from arclight_zoo.image.outputs import RowOfOutputs
from arclight_zoo.learning.regression import draw_values, regression_scores
from arclight_zoo.pixels.targets import HOLDS


class ImageRegression(RowOfOutputs):
    """Mean squared error of one or several values.

    Evaluation gives the mean loss, the mean absolute error (`mae`) and the share of the targets'
    variance that is explained (`r2`), the last two as means over the values. Values are learnt as
    they are: scale them to about 1 in the data where they are much larger.

    The model maps images to `(batch, values)`. `metrics` are given predictions and targets
    `(batch, values)`, or `(batch,)` where there is one value.
    """

    learns_from = HOLDS["values"]
    usual_loss = nn.MSELoss
    tags = ("regression",)
    answer_code = """    values = dict(zip(classes, outputs.tolist()))
    print(json.dumps({"file": file, "values": values}))
"""

    def scores(self, found: Tensor, targets: Tensor) -> dict[str, float]:
        return regression_scores(found, targets)

    def count(self, found: Tensor, targets: Tensor) -> None:
        if targets.shape[1] == 1:
            found, targets = found.squeeze(1), targets.squeeze(1)
            self.keep(targets, found, -(found - targets).abs())
        self.measure(found, targets)

    def answer_row(self, found: list[float], names: list[str]) -> list[str]:
        """The values."""
        return [f"{value:.6g}" for value in found]

    def pictures(self, folder: Path) -> Sequence[Path]:
        """What was found over what is true."""
        return [draw_values(*self.last, self.names, folder / "values.png")]
