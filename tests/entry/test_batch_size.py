"""The largest batch size is found with real training steps, within a memory limit."""

import json
from pathlib import Path
from typing import Any

import pytest

from arclight.entry.batch_size import largest_batch
from arclight.errors import UserError
from arclight_zoo.text.classification import TextClassification
from tests.conftest import Composed


def test_result_is_the_largest_to_within_an_eighth(composed: Composed) -> None:
    lines: list[str] = []
    config = composed("model=cnn", "data.limit=96")
    found = largest_batch(config, 0.01, lines.append)
    assert f"data.batch_size={found}: fits" in lines
    misfits = [line for line in lines if "needs about" in line]
    assert misfits
    smallest = min(int(line.partition("=")[2].partition(":")[0]) for line in misfits)
    assert found < smallest <= found + max(1, found // 8)


def test_too_large_evaluation_batch_is_reported(composed: Composed) -> None:
    lines: list[str] = []
    config = composed("model=cnn", "data.limit=300", "data.eval_batch_size=300")
    largest_batch(config, 0.008, lines.append)
    evaluation = [line for line in lines if line.startswith("Evaluation needs about")]
    assert len(evaluation) == 1
    assert 1 <= int(evaluation[0].partition("data.eval_batch_size=")[2].split()[0]) < 300


@pytest.mark.slow
def test_result_is_at_most_the_training_set(composed: Composed) -> None:
    found = largest_batch(composed("model=cnn", "data.limit=20"), 8.0, lambda _: None)
    assert 18 <= found <= 20


def test_the_longest_texts_are_tried(
    composed: Composed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The texts of the first batches are mostly shorter."""
    rows = [json.dumps({"text": f"short {i:02}", "label": i % 2}) for i in range(60)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    given = (f"data.path={tmp_path / 'rows.jsonl'}", "data.tokenizer=characters", "data.limit=4")
    small = ("model.d_model=16", "model.n_layers=1", "trainer.accumulate_grad_batches=2")
    step, lengths = TextClassification.training_step, []

    def noted(task: TextClassification, batch: Any, index: int) -> Any:
        lengths.append(batch[0].shape[1])
        return step(task, batch, index)

    monkeypatch.setattr(TextClassification, "training_step", noted)
    groups = ("model=bert", "task=text_classification", "data=text_classification")
    assert largest_batch(composed(*groups, *given, *small), 4.0, lambda _: None) == 4
    assert lengths[-4:] == [10, 10, 128, 128]


def test_error_says_what_to_try_if_nothing_fits(composed: Composed) -> None:
    with pytest.raises(UserError, match=r"Not even data\.batch_size=1 fits"):
        largest_batch(composed("model=cnn", "data.limit=20"), 0.001, lambda _: None)
