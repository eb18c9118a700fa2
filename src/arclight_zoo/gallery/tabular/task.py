"""Classification and regression of table rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import Metric

from arclight import Facts, Task
from arclight.ranges import Share
from arclight.tasks.question import Question, Rows, label_rows
from arclight.tasks.scores import ClassScores, ExactSum
from arclight.tasks.task import OptimizerFactory, ScheduleFactory
from arclight.tasks.usage import Usage
from arclight_zoo.gallery.tabular.baseline import Baseline, baseline
from arclight_zoo.gallery.tabular.data import HOLDS, TableData
from arclight_zoo.gallery.tabular.facts import TableFacts
from arclight_zoo.gallery.tabular.question import read_rows
from arclight_zoo.gallery.tabular.usage import table_usage
from arclight_zoo.learning.collected import Collected
from arclight_zoo.learning.regression import draw_values, regression_scores

Batch = tuple[Tensor, Tensor]


class Tabular(Task):
    """Classification with cross-entropy, or regression with the mean squared error.

    Evaluation reports the mean loss with accuracy, macro F1 and the confusion matrix, or with R2
    and the mean absolute error in the target's units. The test also reports them for a
    scikit-learn model fitted on the same training rows: `baseline/accuracy`, `baseline/r2`.

    Args:
        model: maps rows `(batch, columns)` to `(batch, outputs)`.
        optimizer: see `Task`.
        schedule: see `Task`.
        facts: about the table.
        label_smoothing: fraction of the target spread over all classes, in training.
        baseline: `linear`, `forest` or `boosting`; None: none.
        metrics: further metrics of evaluation, on logits `(batch, classes)` and classes `(batch,)`,
            or on numbers in the target's own units, both `(batch,)`.
    """

    learns_from = HOLDS

    def __init__(
        self,
        model: nn.Module,
        facts: TableFacts,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
        label_smoothing: Share = 0.0,
        baseline: Baseline | None = "linear",
        metrics: Mapping[str, Metric] | None = None,
    ) -> None:
        super().__init__(model, optimizer, schedule, metrics=metrics)
        self.class_names = list(facts.class_names)
        self.label_smoothing, self.baseline = label_smoothing, baseline
        self.mean, self.std, self.target = facts.mean, facts.std, facts.target
        if self.class_names:
            self.of_classes = ClassScores(len(self.class_names))
        else:
            self.loss_sum, self.seen = ExactSum(), Collected()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        rows, targets = batch
        outputs = self.model(rows)
        if self.class_names:
            loss = F.cross_entropy(outputs, targets, label_smoothing=self.label_smoothing)
        else:
            loss = F.mse_loss(outputs[:, 0], targets)
        self.sums.add(loss.detach() * len(rows), examples=len(rows))
        return loss

    def blank_batch(self, facts: Facts, examples: int) -> Batch:
        assert isinstance(facts, TableFacts)
        columns = facts.columns
        kind = torch.long if facts.class_names else torch.float32
        rows = torch.zeros(examples, columns.width + len(columns.categories))
        return rows, torch.zeros(examples, dtype=kind)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        rows, targets = batch
        outputs = self.model(rows).float()
        if self.class_names:
            self.of_classes.add(outputs, targets)
            self.keep_classes(outputs, targets)
            self.measure(outputs, targets)
            return
        found = outputs[:, 0]
        self.loss_sum.update(F.mse_loss(found, targets, reduction="sum"))
        found, targets = self._unscaled(found), self._unscaled(targets)
        self.seen.update(found[:, None], targets[:, None])
        self.keep(targets, found, -(found - targets).abs())
        self.measure(found, targets)

    test_step = validation_step

    def predict_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """The probability of each class `(batch, classes)`, or values `(batch,)`."""
        outputs: Tensor = self.model(batch).float()
        return outputs.softmax(1) if self.class_names else self._unscaled(outputs[:, 0])

    def _unscaled(self, values: Tensor) -> Tensor:
        return values * self.std + self.mean

    def results(self, stage: str) -> dict[str, float]:
        if self.class_names:
            metrics, self.confusion_matrix = self.of_classes.read(stage)
        else:
            self.last = self.seen.compute()
            found = {
                "loss": self.loss_sum.compute() / len(self.last[0]),
                **regression_scores(*self.last),
            }
            metrics = {f"{stage}/{name}": value for name, value in found.items()}
            self.loss_sum.reset()
            self.seen.reset()
        if stage == "test" and self.baseline:
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            assert isinstance(data, TableData)
            reached = baseline(self.baseline, data)
            metrics |= {f"baseline/{name}": value for name, value in reached.items()}
        return metrics

    def pictures(self, folder: Path) -> Sequence[Path]:
        """Plots predicted over true values; classes have a confusion matrix instead."""
        if self.class_names:
            return []
        return [draw_values(*self.last, [self.target], folder / "values.png")]

    def example_inputs(self, examples: int, draw: torch.Generator) -> dict[str, Tensor]:
        columns = self._known().columns
        numbers = torch.randn(examples, columns.width, generator=draw)
        categories = [
            torch.randint(size, (examples, 1), generator=draw).float()
            for size in columns.cardinalities
        ]
        return {"rows": torch.cat([numbers, *categories], dim=1)}

    def usage(self, run: Path, config: dict[str, Any]) -> Usage:
        return table_usage(self._known())

    def answer(self, question: Question) -> Rows:
        """The class of each row and the class probabilities, or its value."""
        facts = self._known()
        rows = torch.from_numpy(read_rows(question.place, facts)).to(self.device)
        found = self.predict_step(rows, 0).cpu()
        names = [str(number) for number in range(1, len(rows) + 1)]
        if self.class_names:
            return [
                ["row", facts.target, *self.class_names],
                *label_rows(names, found, self.class_names),
            ]
        values = [f"{value:.6g}" for value in found.tolist()]
        return [["row", facts.target], *([n, v] for n, v in zip(names, values, strict=True))]

    def _known(self) -> TableFacts:
        assert isinstance(self.facts, TableFacts)
        return self.facts
