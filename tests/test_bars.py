"""`python train.py model=X` reaches a metric far above chance for every model.

The bars are below the values measured with seed 0, to allow for rounding on other machines. Chance
level is 0.1 for ten digits, 0.125 for eight packages, 0.023 for the most common token, and 3.35
bits per byte for token frequencies alone.
"""

from pathlib import Path

import pytest

from arclight.run.execute import execute
from arclight.run_directory import create
from tests.conftest import Composed, options

AT_LEAST = {
    "cnn": ("test/accuracy", 0.985),
    "vit": ("test/accuracy", 0.97),
    "resnet": ("test/accuracy", 0.97),
    "efficientnet": ("test/accuracy", 0.95),
    "timm": ("test/accuracy", 0.9),
    "speedrun": ("test/accuracy", 0.96),
    "unet": ("test/miou", 0.65),
    "mlp": ("test/accuracy", 0.94),
    "gan": ("test/score", 7.5),
    "ddpm": ("test/score", 7.5),
    "student": ("test/accuracy", 0.975),
    "bert": ("test/accuracy", 0.85),
    "bert_masked": ("test/accuracy", 0.32),
    "t5": ("test/exact", 0.9),
    "clip": ("test/accuracy", 0.95),
    "blip": ("test/exact", 0.9),
}
AT_MOST = {
    "gpt": ("test/bits_per_byte", 2.4),
    "llama": ("test/bits_per_byte", 2.4),
}
LARGE = {"vit_tiny", "vit_small", "vit_base", "vit_large", "vit_huge"}  # like vit, for a GPU
NEEDS_WEIGHTS = {"auto"}
# Models of the gallery are trained with an experiment, which also sets the augmentation.
EXPERIMENTS = {"gan": "gan", "ddpm": "diffusion", "student": "distillation"}

FEWER = {"timm": 8}  # epochs that are enough for the bar, of 20


@pytest.mark.slow
@pytest.mark.usefixtures("plots")
@pytest.mark.parametrize("model", [*AT_LEAST, *AT_MOST])
def test_model_learns(composed: Composed, tmp_path: Path, model: str) -> None:
    chosen = f"experiment={EXPERIMENTS[model]}" if model in EXPERIMENTS else f"model={model}"
    fewer = [f"trainer.max_epochs={FEWER[model]}"] if model in FEWER else []
    config = composed(chosen, *fewer, f"runs={tmp_path}")  # a teacher is trained there too
    run = create(tmp_path / model, tmp_path, model, config, [], {})
    assert execute(run) == 0
    if model in AT_LEAST:
        metric, bar = AT_LEAST[model]
        assert run.summary["metrics"][metric] >= bar
    else:
        metric, bar = AT_MOST[model]
        assert run.summary["metrics"][metric] <= bar


def test_every_model_has_a_bar() -> None:
    assert {*AT_LEAST, *AT_MOST} == set(options("model")) - LARGE - NEEDS_WEIGHTS
