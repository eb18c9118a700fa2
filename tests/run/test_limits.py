"""A share of few batches is one batch."""

from pathlib import Path

from arclight.run.assembly import build_data
from arclight.run.limits import at_least_one
from tests.conftest import Composed


def test_a_small_share_is_one_batch(composed: Composed, tmp_path: Path) -> None:
    config = composed("debug=limit")  # of the digits: 20 batches, and 3 in validation
    data = build_data(config, tmp_path)
    settings = at_least_one(config["trainer"], data)
    shares = {stage: settings[f"limit_{stage}_batches"] for stage in ("train", "val", "test")}
    assert shares == {"train": 0.1, "val": 1, "test": 1}
    assert at_least_one(settings, data) == settings
