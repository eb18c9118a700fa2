"""Before a run: its estimated costs, and advice only if it applies."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from arclight.costs.advice import advice, in_parts
from arclight.costs.forecast import Preflight, duration, forecast, quantity, steps_of
from arclight.costs.peaks import PEAKS, free_memory, peak_flops
from arclight.entry.preflight import preflight_only
from arclight.run.assembly import Parts, build_parts, build_task
from arclight_zoo.image.classification import ImageClassification
from tests.conftest import Composed

CPU = torch.device("cpu")


def foreseen(composed: Composed, folder: Path, *words: str) -> tuple[Parts, Preflight]:
    parts = build_parts(composed(*words), folder)
    return parts, forecast(parts.config, parts.data, parts.task, parts.facts, CPU, "32-true", 1)


def said(parts: Parts, found: Preflight) -> str:
    given = parts.config, parts.data.facts, parts.task, found
    return "\n".join(advice(*given, CPU, "32-true", build_task))


def test_a_default_run_has_an_estimate_and_no_advice(composed: Composed, tmp_path: Path) -> None:
    parts, found = foreseen(composed, tmp_path)
    assert (found.parameters, found.trained, found.steps) == (373_130, 373_130, 40 * 20)
    rows = dict(found.rows())
    assert "FLOP on 64 examples" in rows["step"]
    assert "activations" in rows["memory"]
    assert "at least" in rows["length"]
    assert said(parts, found) == ""


def test_few_examples_for_many_parameters(composed: Composed, tmp_path: Path) -> None:
    parts, found = foreseen(composed, tmp_path, "model=resnet")
    assert "model.pretrained=NAME" in said(parts, found)
    parts.config["model"]["pretrained"] = "weights"
    assert said(parts, found) == ""


def test_a_batch_that_does_not_fit_gets_suggestions(composed: Composed, tmp_path: Path) -> None:
    parts, found = foreseen(composed, tmp_path, "model=gpt", "data.limit=999999")
    assert found.step is not None
    tight = replace(found, free=found.step.fixed + found.step.activations // 3)
    sentence = said(parts, tight)
    assert "trainer.accumulate_grad_batches=4" in sentence
    assert "model.activation_checkpointing=true" in sentence
    batch = int(sentence.partition("data.batch_size=")[2].split()[0])
    parts.config["data"]["batch_size"] = batch
    smaller = forecast(parts.config, parts.data, parts.task, parts.facts, CPU, "32-true", 1)
    assert smaller.peak is not None
    assert tight.free is not None
    assert 0.8 * tight.free < smaller.peak < tight.free
    assert "finetune=lora" in said(parts, replace(found, free=found.step.fixed // 2))


def test_an_evaluation_that_needs_more_memory_is_predicted(
    composed: Composed, tmp_path: Path
) -> None:
    words = ("model=gpt", "data.limit=999999", "data.batch_size=2")
    parts, found = foreseen(composed, tmp_path, *words, "data.eval_batch_size=64")
    assert found.step is not None
    assert found.peak is not None
    assert found.peak > found.step.peak
    assert "an evaluation batch" in dict(found.rows())["memory"]
    tight = replace(found, free=found.step.fixed + found.evaluation // 2)
    sentence = said(parts, tight)
    batch = int(sentence.partition("data.eval_batch_size=")[2].split()[0])
    assert 20 < batch < 32
    assert "trainer.accumulate_grad_batches" not in sentence  # training fits
    _, alike = foreseen(composed, tmp_path, *words, "data.eval_batch_size=null")
    assert alike.step is not None
    assert alike.peak == alike.step.peak


def test_the_suggested_batch_divides_into_the_parts(composed: Composed, tmp_path: Path) -> None:
    words = ("model=gpt", "data.limit=999999", "trainer.accumulate_grad_batches=2")
    parts, found = foreseen(composed, tmp_path, *words)
    assert found.step is not None
    tight = replace(found, free=found.step.fixed + found.step.activations // 3)
    batch = int(said(parts, tight).partition("data.batch_size=")[2].split()[0])
    assert batch % 2 == 0
    parts.config["data"]["batch_size"] = batch
    smaller = forecast(parts.config, parts.data, parts.task, parts.facts, CPU, "32-true", 1)
    assert smaller.peak is not None
    assert tight.free is not None
    assert 0.8 * tight.free < smaller.peak < tight.free


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("model=vit",), "the same step in parts"),
        (
            ("model=cnn",),
            "the same step in parts, except that batch norm sees one part at a time",
        ),
        (
            ("model=clip", "task=contrastive", "data=digits_captions"),
            "the same step in parts, each compared with fewer others",
        ),
        (
            ("model=blip", "task=captioning", "data=digits_captions"),
            "the same step in parts, where those with short captions have slightly more weight",
        ),
    ],
)
def test_advice_explains_what_accumulation_changes(
    composed: Composed, tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    assert in_parts(build_parts(composed(*words, "data.limit=100"), tmp_path).task) == sentence


def test_a_long_run_gets_advice(composed: Composed, tmp_path: Path) -> None:
    parts, found = foreseen(composed, tmp_path, "trainer.max_epochs=1000000000")
    assert "trainer=gpu" in said(parts, found)


def test_a_task_whose_costs_are_unknown_is_reported(
    composed: Composed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looks(self: ImageClassification, batch: Any, index: int) -> Any:
        return self.model(batch[0]).sum() if batch[0].sum().item() > 0 else None

    monkeypatch.setattr(ImageClassification, "training_step", looks)
    parts, found = foreseen(composed, tmp_path)
    assert found.peak is None
    assert "cannot be estimated" in dict(found.rows())["step"]
    assert said(parts, found) == ""


def test_ema_has_its_own_weights(composed: Composed, tmp_path: Path) -> None:
    _, plain = foreseen(composed, tmp_path)
    _, averaged = foreseen(composed, tmp_path, "callbacks.ema.decay=0.9")
    assert plain.step is not None
    assert averaged.extra - plain.extra == plain.step.weights


def test_preflight_only_writes_nothing(
    composed: Composed,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    preflight_only(composed("preflight=only"))
    assert "parameters" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "steps"),
    [
        ({}, 40),
        ({"max_steps": 7}, 7),
        ({"max_epochs": None}, 0),
        ({"limit_train_batches": 3}, 12),
        ({"accumulate_grad_batches": 2}, 40),
        ({"limit_train_batches": 0.5}, 20),
    ],
)
def test_the_number_of_steps(words: dict[str, Any], steps: int) -> None:
    trainer = {
        "accumulate_grad_batches": 1,
        "limit_train_batches": 1.0,
        "max_steps": -1,
        "max_epochs": 4,
    }
    assert steps_of(trainer | words, examples=109, batch=10) == steps


@pytest.mark.parametrize(
    ("name", "precision", "tera"),
    [
        ("NVIDIA H100 80GB HBM3", "bf16-mixed", 989.4),
        ("NVIDIA H100 PCIe", "bf16-mixed", 756),
        ("NVIDIA A100-SXM4-80GB", "32-true", 156),
        ("NVIDIA L4", "16-mixed", 121),
        ("NVIDIA L40S", "bf16-mixed", 362),
        ("NVIDIA GeForce RTX 4090", "bf16-mixed", 165.2),
        ("Tesla V100-SXM2-16GB", "bf16-mixed", None),
        ("Tesla T4", "16-mixed", 65),
        ("NVIDIA GeForce GTX 1080", "32-true", None),
        ("NVIDIA H200", "bf16-mixed", 989.4),
        ("NVIDIA H200 NVL", "bf16-mixed", 835.5),
        ("NVIDIA GeForce RTX 4090 D", "bf16-mixed", 147),
        ("NVIDIA GeForce RTX 3090 Ti", "16-mixed", 80),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "bf16-mixed", None),
        ("NVIDIA A100-SXM4-40GB MIG 3g.20gb", "bf16-mixed", None),
    ],
)
def test_peaks_are_found_by_the_name_of_the_card(
    name: str, precision: str, tera: float | None
) -> None:
    found = peak_flops(name, precision)
    assert found == (None if tera is None else pytest.approx(tera * 1e12))


def test_peaks_are_of_the_same_kind() -> None:
    for single, brain, half in PEAKS.values():
        assert single < half == (brain or half)


def test_formatting() -> None:
    assert (quantity(1_234_567), quantity(12)) == ("1.23 M", "12 ")
    assert (duration(90), duration(7000), duration(4 * 86400)) == ("90 s", "117 min", "4.0 days")
    free = free_memory(CPU)
    assert free is None or free > 2**20
