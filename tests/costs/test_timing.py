"""The step clock, and the costs in a run's metrics and summary."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from arclight.costs.timing import PHASES, StepClock, forward_seconds
from arclight.data.facts import Facts
from arclight.run.execute import execute
from arclight.run_directory import create
from arclight.tasks.task import Task
from arclight.training.loggers import read_metrics
from arclight.training.progress import format_metrics
from arclight.training.record import TIMING, Record
from arclight_zoo.image.classification import ImageClassification
from arclight_zoo.image_text.facts import ImageTextFacts
from arclight_zoo.pixels.image_facts import ImageFacts
from arclight_zoo.tokens.text_facts import TextFacts
from tests.conftest import Composed


def test_time_goes_to_the_phase_that_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 5.0, 5.5, 7.5])
    monkeypatch.setattr("arclight.costs.timing.time.perf_counter", lambda: next(times))
    clock = StepClock()
    assert clock.read() == {}
    clock.start()  # what was before is nobody's
    clock.mark("data")
    clock.mark("forward_backward")
    clock.steps += 1
    read = clock.read()
    assert (read["data_ms"], read["forward_backward_ms"]) == (500, 2000)
    assert read["step_ms"] == pytest.approx(sum(read[f"{p}_ms"] for p in PHASES))
    clock.clear()
    assert clock.read() == {}


def test_latency_uses_the_given_device_and_precision() -> None:
    seen = []

    class Model(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            found = super().forward(x.flatten(1))
            seen.append((x.device.type, found.dtype))
            return found

    known: Any = {"class_names": [], "image_size": 2, "channels": 1, "mean": [], "std": []}
    facts = ImageFacts(**known, sizes={}, fingerprint="", num_classes=3)
    unused: Any = lambda *_: None  # noqa: E731
    task = ImageClassification(Model(4, 3), facts, unused, unused)
    assert forward_seconds(task, facts, 1, 2) > 0
    assert forward_seconds(task, facts, 1, 2, torch.device("cpu"), "bf16-mixed") > 0
    forward_seconds(task, facts, 1, 2, torch.device("meta"))
    kinds = ("cpu", torch.float32), ("cpu", torch.bfloat16), ("meta", torch.float32)
    assert seen == [kind for kind in kinds for _ in range(3)]


def test_a_run_records_its_costs(composed: Composed, tmp_path: Path) -> None:
    words = ("model=gpt", "data.limit=64", "data.batch_size=8", "trainer.log_every_n_steps=2")
    small = ("model.d_model=16", "model.n_layers=1", "trainer.accumulate_grad_batches=2")
    steps = ("trainer.max_steps=8", "trainer.val_check_interval=8")
    run = create(tmp_path / "run", tmp_path, "run", composed(*words, *small, *steps), [], {})
    assert execute(run) == 0
    rows = [r for r in read_metrics(run.metrics_file) if r.get("cost/step_ms")]
    assert len(rows) == 4
    for row in rows:
        spent = [float(row[f"cost/{p}_ms"]) for p in PHASES]
        assert float(row["cost/step_ms"]) == pytest.approx(sum(spent))
        rate = float(row["examples_per_second"])
        assert float(row["cost/tokens_per_second"]) == pytest.approx(rate * 64)
        assert rate == pytest.approx(8000 / float(row["cost/step_ms"]), rel=1e-4)
        assert "cost/mfu" not in row  # a CPU's peak is in no table
    costs = run.summary["costs"]
    assert costs["flops_per_example"] > 0
    assert costs["peak_memory_gib"] > 0.1
    assert {"examples_per_second", "tokens_per_second", "data_ms", "logging_ms"} <= set(costs)
    said = run.log_file.read_text()
    assert "tokens/s" in said
    assert "FLOP on 8 examples" in said


def test_mfu_needs_examples_of_equal_length() -> None:
    """Padded texts are mostly shorter than the longest one, for which FLOPs are counted."""
    text = {"sizes": {}, "fingerprint": "", "vocab_size": 9, "context": 4}
    image = {"class_names": [], "image_size": 8, "channels": 1, "mean": [0.5], "std": [0.5]}
    captioned = ImageTextFacts(**text, **image, num_classes=2, start=1, end=2)
    alone = ImageFacts(**image, sizes={}, fingerprint="", num_classes=2)

    class Fixed(Task):
        def __init__(self, length: int | None, padded: bool) -> None:
            super().__init__(nn.Identity(), lambda *_: None, lambda *_: None)  # type: ignore[arg-type, return-value]
            self.length, self.padded = length, padded

        def tokens_per_example(self, facts: Facts) -> int | None:
            return self.length

    for facts, length, padded in (
        (alone, None, False),
        (TextFacts(**text), 4, False),
        (TextFacts(**text), None, True),
        (captioned, None, True),
    ):
        known = not padded
        record = Record(10, stop_on_nonfinite=False)
        record.set_facts(Fixed(length, padded), facts)
        record.flops_per_example, record._peak_flops = 1e9, 1e12
        costs = record._costs(100, {"data": 0.5, "forward_backward": 0.5})
        assert costs.get("cost/mfu") == (pytest.approx(0.1) if known else None)


def test_the_progress_bar_shows_metrics_and_costs() -> None:
    figures = {
        "train/loss": 0.5,
        "examples_per_second": 1234.0,
        "cost/mfu": 0.414,
        "cost/step_ms": 10.0,
        "cost/data_ms": 3.0,
        "cost/peak_memory_gib": 3.21,
    }
    assert format_metrics(figures) == (
        "train/loss 0.5, 1,234 examples/s, 41% MFU, 30% waiting for data, 3.2 GiB"
    )
    figures |= {"cost/tokens_per_second": 9.9e6, "cost/data_ms": 0.1}
    assert format_metrics(figures) == "train/loss 0.5, 9,900,000 tokens/s, 41% MFU, 3.2 GiB"
    assert all(k.startswith(TIMING) for k in figures if k != "train/loss")
