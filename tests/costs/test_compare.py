"""Every published size can be built from the project's configs with overrides."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from arclight.config.checks.check import check
from arclight.costs.architectures import Entry, compare, facts_of, without_numbers
from arclight.report.compare import COLUMNS, markdown, write
from arclight.run.assembly import build_task
from tests.conftest import CONFIGS, Composed

ENTRIES = {
    one["name"]: Entry(**one) for one in yaml.safe_load((CONFIGS / "compare.yaml").read_text())
}
# Millions of parameters in the reference document's own table, of the ends of each range.
REFERENCE = {
    "ResNet-50": 25,
    "EfficientNet-B0": 5,
    "EfficientNet-B7": 66,
    "ViT-B/16": 86,
    "ViT-H/14": 632,
    "BERT-base": 110,
    "BERT-large": 340,
    "GPT-1": 117,
    "GPT-3": 175_000,
    "T5-small": 60,
    "T5-11B": 11_000,
}


def millions(config: dict[str, Any]) -> float:
    check(config)
    task = without_numbers(config, facts_of(config), build_task)
    return sum(p.numel() for p in task.model.parameters()) / 1e6


@pytest.mark.parametrize("name", ENTRIES)
def test_it_has_the_published_number_of_parameters(composed: Composed, name: str) -> None:
    count = millions(composed(*ENTRIES[name].overrides))
    assert count == pytest.approx(ENTRIES[name].published, rel=0.03)
    if name in REFERENCE:  # 5.3M is written as 5 there
        assert round(count) == REFERENCE[name] or count == pytest.approx(REFERENCE[name], rel=0.03)


def test_all_reference_architectures_are_listed() -> None:
    assert set(REFERENCE) < set(ENTRIES)


def test_a_row_is_counted_measured_and_written(composed: Composed, tmp_path: Path) -> None:
    entry = ENTRIES["ResNet-18"]
    row = compare(entry, lambda words: composed(*words), build_task, room=2**32)
    macs = 1.814e9  # He et al. (2016): 1.8 x 10^9 multiply-adds
    assert row.step.forward_flops == pytest.approx(2 * macs, rel=0.01)
    assert row.step.fixed == pytest.approx(16 * row.parameters, rel=0.01)
    assert row.latency_ms is not None
    assert row.latency_ms > 0
    table = markdown([row])
    assert table.count("\n") == 3
    assert COLUMNS[-1] in table
    unmeasured = compare(entry, lambda words: composed(*words), build_task)
    assert COLUMNS[-1] not in markdown([unmeasured])
    files = write([row, unmeasured], tmp_path / "out")
    assert [f.name for f in files] == ["compare.md", "compare.csv", "compare.png"]
    assert all(f.stat().st_size for f in files)
