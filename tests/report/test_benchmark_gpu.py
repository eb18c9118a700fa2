"""The GPU benchmark, at sizes for a CPU."""

from pathlib import Path
from typing import Any

import pytest
import torch

SCRIPTS = Path(__file__).parents[2] / "scripts"
SMALL_GPT = ("model.d_model=16", "model.n_heads=2", "model.n_layers=1")
SMALL_VIT = (*SMALL_GPT, "model.patch_size=4")


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from benchmarks import gpu  # type: ignore[import-not-found]

    return gpu


def test_both_sides_take_turns_at_the_recipes_steps(part: Any, tmp_path: Path) -> None:
    from benchmarks.options import Options

    device = torch.device("cpu")
    peak = part.matmul(device, 64)
    small = (
        (part.GPT, SMALL_GPT, part.tokens(32, 8)),
        (part.VIT, SMALL_VIT, part.pictures(8, 3)),
        (part.CASES[2].words, ("model.name=test_resnet",), part.pictures(32, 3)),
    )
    for words, sizes, facts in small:
        case = part.Case("small", (*words, *sizes), facts, batch=2, mfu=50)
        options = Options(tmp_path, runs=2, steps=2, data=None)
        rows = part.measure(options, case, device, peak, "trainer=cpu", "compile=false")
        assert [row.unit for row in rows][::2] == ["ms", "%"]
        for row in rows:
            assert len(row.project) == len(row.bare) == 2
            assert min(row.project + row.bare) > 0
        ms, rate, share = rows
        assert rate.project[0] == pytest.approx(2000 / ms.project[0])
        assert share.project[0] / share.bare[0] == pytest.approx(ms.bare[0] / ms.project[0])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_is_left_out(
    part: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmarks.options import Options

    assert part.gpu(Options(tmp_path, runs=1, steps=None, data=None)) == []
    assert "no CUDA device" in capsys.readouterr().out
