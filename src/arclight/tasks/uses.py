"""What a task offers once it is trained: predictions, exports and plots."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L
from torch import Tensor, nn

from arclight.errors import UserError
from arclight.tasks.question import Question, Rows
from arclight.tasks.usage import HubUsage, Usage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Answer = Callable[[dict[str, Tensor]], Sequence[Tensor]]
"""An exported model, loaded again: returns outputs for inputs by name."""


class Uses(L.LightningModule):
    """Uses of a trained model that a task may define; the base of `Task`."""

    model: nn.Module

    def answer(self, question: Question) -> Rows:
        """Predictions for `scripts/predict.py`: a header, and a row for each input.

        Raises:
            UserError: the task does not define predictions, or cannot use the inputs.
        """
        raise UserError(
            f"{type(self).__name__} does not define predictions: define "
            "`answer(self, question)`, which returns a header and a row for each input."
        )

    def continue_text(
        self,
        folder: Path,
        prompt: str,
        length: int,
        temperature: float,
        top_k: int | None,
        seed: int,
    ) -> str:
        """The prompt and its continuation by the model, for `scripts/generate.py`.

        Args:
            folder: the run directory, which has the tokenizer.
            prompt: the text to continue; empty: a new line.
            length: number of tokens to generate.
            temperature: values below 1 favour probable tokens; 0 always takes the most probable.
            top_k: sample from this many most probable tokens; None: from all.
            seed: of the random generator.

        Raises:
            UserError: the task does not generate text.
        """
        raise UserError(
            f"{folder} is a run of {type(self).__name__}, which does not generate text; type "
            f"python scripts/predict.py run={folder} input=FILE."
        )

    def usage(self, run: Path, config: dict[str, Any]) -> Usage:
        """Example code that predicts on new inputs with the exported program, like `answer`.

        `scripts/export.py` writes it beside the export. If a task does not define it, the example
        reads a file of arrays.

        Args:
            run: the run's directory.
            config: the run's config.
        """
        raise NotImplementedError

    def hub_usage(self, run: Path, config: dict[str, Any]) -> HubUsage:
        """Like `usage`, with the folder of `save_hf` and the library that opens it."""
        raise NotImplementedError

    def save_hf(self, folder: Path, run: Path) -> Answer:
        """Saves the model in the format of transformers or timm, and loads it again.

        Args:
            folder: the folder to create.
            run: the run directory.

        Returns:
            The loaded model, as a function of inputs by name.

        Raises:
            UserError: neither library has such a model.
        """
        raise UserError(
            f"transformers and timm have no model like {type(self.model).__name__}: type "
            "format=safetensors, onnx or torch_export."
        )

    def pictures(self, folder: Path) -> Sequence[Path]:
        """Draws further plots of the last test; called on one process.

        `arclight.canvas` creates figures without a window. The plots are also logged.

        Args:
            folder: the run's `plots`.

        Returns:
            The image files.
        """
        return []

    def draw_example(self, axis: "Axes", batch: Any, place: int) -> None:
        """Draws an example without its target, for `mistakes.png`.

        Without this method there is no such plot.

        Args:
            axis: matplotlib's axes, without ticks and frame.
            batch: a batch as `test_step` receives it, on the CPU.
            place: the index of the example in the batch.
        """
        raise NotImplementedError
