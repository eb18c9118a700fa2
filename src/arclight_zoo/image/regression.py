"""Image regression: predict numbers such as an age, a count or a position."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from arclight_zoo.image.outputs import RowOfOutputs
from arclight_zoo.learning.regression import draw_values, regression_scores
from arclight_zoo.pixels.targets import HOLDS


class ImageRegression(RowOfOutputs):
    """Regression of one or several values with the mean squared error.

    Evaluation reports the mean loss, the mean absolute error (`mae`) and the coefficient of
    determination (`r2`), the last two averaged over the values. Targets are not normalised: if
    they are much larger than 1, scale them in the data.

    The model maps images to `(batch, values)`. `metrics` get predictions and targets
    `(batch, values)`, or `(batch,)` for a single value.
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
        """Plots predictions over targets."""
        return [draw_values(*self.last, self.names, folder / "values.png")]
