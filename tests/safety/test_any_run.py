"""Any content of the files in a run directory is read, or rejected with a message."""

import copy
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arclight.errors import UserError
from arclight.provenance.code import last_executed
from arclight.report.examples import read_examples
from arclight.report.results import read
from arclight.run.assembly import recorded_facts
from arclight.run.opened import open_checked
from arclight.run_directory import RunDirectory, chosen_checkpoint, create
from arclight.training.loggers import MetricsFile, read_metrics
from tests.conftest import Composed
from tests.safety.whole import WHOLE, examples

FILES = ("config.yaml", "summary.json", "manifest.json", "overrides.yaml", "metrics.csv")
KEYS = st.sampled_from(["_target_", "status", "metrics", "run_id", "kind", "sizes", "a", "", "0"])
PLAIN = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    st.sampled_from(["os.system", "finished", "arclight_zoo.pixels.image_facts.ImageFacts", "???"]),
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
READERS: tuple[Callable[[RunDirectory], object], ...] = (
    lambda run: open_checked(run.path),
    lambda run: read(run.path),
    lambda run: recorded_facts(run) if "data" in run.manifest else None,
    lambda run: last_executed(run.manifest),
    lambda run: read_metrics(run.metrics_file),
    lambda run: MetricsFile(run.metrics_file).rewind(3),
    lambda run: read_examples(run.predictions_file),
    lambda run: chosen_checkpoint(run, None),
)
TRIED: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "database": None,
    "derandomize": not WHOLE,
}


@pytest.fixture(scope="module")
def whole(composed: Composed, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    root = tmp_path_factory.mktemp("any")
    facts = {
        "kind": "arclight_zoo.pixels.image_facts.ImageFacts",
        "sizes": {"train": 9},
        "fingerprint": "a",
        "skipped": {},
        "num_classes": 2,
    }
    manifest = {"data": facts, "choices": {"model": "cnn"}, "code": {"a": "b"}, "git": None}
    run = create(root / "run", root, "run", composed(), ["seed=0"], manifest)
    run.update_summary(status="finished", metrics={"val/loss": 0.5}, seconds=1.5)
    run.metrics_file.write_text("step,train/loss\n1,0.5\n2,0.25\n")
    return run


def replaced(content: Any, place: list[int], value: Any) -> Any:
    """Returns the content with a value at the given place."""
    if not place or not content or not isinstance(content, dict | list):
        return value
    keys = list(content) if isinstance(content, dict) else list(range(len(content)))
    key = keys[place[0] % len(keys)]
    changed = copy.copy(content)
    changed[key] = replaced(content[key], place[1:], value)
    return changed


def attempt(run: RunDirectory, file: str, content: bytes) -> None:
    before = (run.path / file).read_bytes()
    (run.path / file).write_bytes(content)
    try:
        for reader in READERS:
            with suppress(UserError):
                reader(run)
            if (run.path / file).read_bytes() != content:  # a reader has rewritten it
                (run.path / file).write_bytes(content)
    finally:
        (run.path / file).write_bytes(before)


def test_any_value_in_a_file(whole: RunDirectory) -> None:
    @settings(max_examples=examples(60), **TRIED)
    @given(st.sampled_from(FILES[:4]), st.lists(st.integers(0, 99), max_size=4), VALUES)
    def tried(file: str, place: list[int], value: Any) -> None:
        text = (whole.path / file).read_text()
        content = yaml.safe_load(text) if file.endswith(".yaml") else json.loads(text)
        content = replaced(content, place, value)
        try:
            text = yaml.safe_dump(content) if file.endswith(".yaml") else json.dumps(content)
            encoded = text.encode()
        except (yaml.YAMLError, UnicodeEncodeError):
            return
        attempt(whole, file, encoded)

    tried()


def test_any_bytes_in_a_file(whole: RunDirectory) -> None:
    @settings(max_examples=examples(60), **TRIED)
    @given(st.sampled_from(FILES), st.integers(0, 5000), st.integers(0, 50), st.binary(max_size=50))
    def tried(file: str, start: int, length: int, new: bytes) -> None:
        content = (whole.path / file).read_bytes()
        start %= len(content) + 1
        attempt(whole, file, content[:start] + new + content[start + length :])

    tried()


def test_any_file_at_all(whole: RunDirectory, tmp_path: Path) -> None:
    (whole.path / "predictions.parquet").write_bytes(b"")

    @settings(max_examples=examples(30), **TRIED)
    @given(st.sampled_from([*FILES, "predictions.parquet"]), st.binary(max_size=200))
    def tried(file: str, content: bytes) -> None:
        attempt(whole, file, content)

    tried()
    (whole.path / "predictions.parquet").unlink()
