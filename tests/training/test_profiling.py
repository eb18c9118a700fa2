"""debug=profile leaves a trace that opens, and a page that adds up."""

import gc
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from torch.autograd import DeviceType  # type: ignore[attr-defined]

from arclight.run.execute import execute
from arclight.run_directory import create
from arclight.training.garbage import LIBRARIES
from arclight.training.profiling import FORWARD, MARK, table
from tests.conftest import Composed

SMALL = ("model=vit", "model.d_model=16", "model.n_layers=1", "data.limit=96", "data.batch_size=8")


def test_a_profiled_run_writes_a_trace_and_a_table(composed: Composed, tmp_path: Path) -> None:
    config = composed(*SMALL, "debug=profile", "callbacks.profile.batches=3")
    run = create(tmp_path / "run", tmp_path, "run", config, [], {})
    assert execute(run) == 0
    trace = json.loads((run.path / "profile" / "trace.json").read_text())
    names = {str(event.get("name")) for event in trace["traceEvents"]}
    assert {"part: data", "part: forward and loss", "part: backward", "aten::addmm"} <= names
    assert len([n for n in names if n.startswith("ProfilerStep#")]) == 3
    page = (run.path / "profile" / "table.txt").read_text()
    assert page.strip() in run.log_file.read_text()
    parts = dict(re.findall(r"^(\S.*?)\s{2,}([\d.]+)", page.split("\n\n")[0], re.MULTILINE))
    whole = float(parts.pop("total, the mean of 3 batches"))
    assert sum(map(float, parts.values())) == pytest.approx(whole, rel=0.01)
    assert float(parts["forward and loss"]) > 0
    assert gc.get_freeze_count() < LIBRARIES  # what training set aside is collected again


def test_a_run_too_short_to_profile_warns(composed: Composed, tmp_path: Path) -> None:
    config = composed(*SMALL, "debug=profile", "trainer.max_epochs=1", "trainer.max_steps=4")
    run = create(tmp_path / "run", tmp_path, "run", config, [], {})
    assert execute(run) == 0
    assert "fewer than 16 batches" in run.log_file.read_text()
    assert not (run.path / "profile").exists()


def event(key: str, cpu: float = 0, device: float = 0, on: str = "CPU", note: bool = False) -> Any:
    """What torch's profiler gives on average, in microseconds."""
    return SimpleNamespace(
        key=key,
        cpu_time_total=cpu,
        self_cpu_time_total=cpu,
        self_device_time_total=device,
        device_type=getattr(DeviceType, on),
        is_user_annotation=note,
        count=1,
    )


def test_on_a_gpu_marks_and_kernels_are_counted_once() -> None:
    mark = MARK + FORWARD
    page = table(
        [
            event("ProfilerStep*", cpu=10_000),
            event("ProfilerStep*", device=9000, on="CUDA", note=True),
            event(mark, cpu=4000),
            event(mark, device=6000, on="CUDA", note=True),
            event("Optimizer.step#AdamW.step", device=2000, on="CUDA", note=True),
            event("aten::mm", cpu=100, device=6000),
            event("gemm_kernel", device=6000, on="CUDA"),
            event("add_kernel", device=2000, on="CUDA"),
        ],
        batches=1,
        cuda=True,
    )
    assert re.search(r"forward and loss +4\.000 +40\.0%", page)
    assert re.search(r"gemm_kernel +6\.000 +75\.0%", page)
    assert "aten::mm" not in page
    assert "AdamW" not in page
