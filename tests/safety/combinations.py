"""Random combinations of group options, and what comes of them: trained, or refused.

    python -m tests.safety.combinations FIRST LAST      prints a line for each seed

The options are those that `configs/` has, so a new one takes part by being there.
"""

import os
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import open_dict

from arclight.config.check import check
from arclight.config.freeze import freeze
from arclight.config.layout import GROUPS
from arclight.config.options import options
from arclight.config.project import PROJECT
from arclight.errors import UserError
from arclight.run.execute import execute
from arclight.run_directory import create

SHORT = (
    *("trainer.max_steps=2", "trainer.max_time=null", "data.limit=24", "data.batch_size=4"),
    *("trainer.log_every_n_steps=1", "trainer.accumulate_grad_batches=1", "compile=false"),
)
SMALL = {"n_layers": 1, "image_n_layers": 1, "text_n_layers": 1, "n_heads": 2, "samples": 8}
"""Sizes of a model or task that make it quick, where it has such a key."""

FEW = {"num_workers": 0, "eval_batch_size": 4, "cache": None}
SETTINGS = {
    "trainer.precision": ["32-true", "bf16-mixed", "auto"],
    "trainer.gradient_clip_val": ["null", "0.5"],
    "trainer.accumulate_grad_batches": ["1", "2"],
    "callbacks.ema.decay": ["null", "0.9"],
    "callbacks.early_stopping.patience": ["null", "1"],
    "trainer.limit_val_batches": ["0", "1", "0.5"],
    "deterministic": ["false", "true"],
    "on_nonfinite": ["stop", "skip"],
    "trainer.num_sanity_val_steps": ["0", "1"],
    "data.seed": ["3"],
}


def drawn(seed: int, groups: Sequence[str] = ()) -> list[str]:
    """The words of one combination.

    Args:
        groups: those of which each is chosen; the others keep their default half the time.
    """
    draw = random.Random(seed)
    words = []
    for group in (*(g for g in GROUPS if g != "search"), "experiment", "debug"):
        rarely = {"experiment": 0.15, "debug": 0.1, "task": 0.2, "data": 0.4, "logger": 0.3}
        if group in groups or draw.random() < rarely.get(group, 0.5):
            words.append(f"{group}={draw.choice(options(group))}")
    for key, values in SETTINGS.items():
        if draw.random() < 0.15:
            words.append(f"{key}={draw.choice(values)}")
    return words


def outcome(words: Sequence[str], folder: Path) -> str:
    """Trains two steps of it in this process: "trained", or the sentence that refuses it.

    Raises:
        RuntimeError: it crashed.
    """
    try:
        config = _config(words)
        check(config)
    except UserError as error:
        return str(error)
    run = create(folder, folder.parent, "combination", config, list(words), {})
    try:
        code = execute(run)
    except UserError as error:
        return str(error)
    if code == 1 or "Traceback" in run.log_file.read_text():
        raise RuntimeError(run.log_file.read_text())
    return "trained" if code == 0 else str(run.summary["error"])


def _config(words: Sequence[str]) -> dict[str, Any]:
    """Composed and small: a size of the combination's own model is reduced where there is one."""
    given = {word.partition("=")[0] for word in words}
    short = [word for word in SHORT if word.partition("=")[0] not in given]
    config = composed([*words, *short, "preflight=false"])
    small = [
        f"{group}.{key}={'null' if value is None else value}"
        for group, sizes in (("model", SMALL), ("task", SMALL), ("data", FEW))
        for key, value in sizes.items()
        if isinstance((config.get(group) or {}).get(key), int) or f"{group}.{key}" == "data.cache"
        if key in (config.get(group) or {})
    ]
    if config["trainer"].get("devices") == 2:  # processes are tested elsewhere
        small.append("trainer.devices=1")
    return composed([*words, *short, "preflight=false", *small])


def composed(words: Sequence[str]) -> dict[str, Any]:
    """Composed and frozen as train.py does."""
    with initialize_config_dir(str(PROJECT / "configs"), version_base="1.3"):
        cfg = compose("train", overrides=list(words), return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        with open_dict(cfg):
            choices = cfg.pop("hydra").runtime.choices
        return freeze(cfg, choices, words)


def main(first: int, last: int) -> int:
    """Prints what comes of these seeds; the number of crashes."""
    import contextlib
    import io
    import time
    import traceback

    crashes = 0
    for seed in range(first, last):
        words = drawn(seed)
        began = time.monotonic()
        said = io.StringIO()
        with tempfile.TemporaryDirectory() as place:
            try:
                with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                    found = outcome(words, Path(place) / "run")
            except Exception as error:
                crashes += 1
                lines = (str(error) if isinstance(error, RuntimeError) else traceback.format_exc())
                found = "CRASH " + lines[-2500:]
        seconds = time.monotonic() - began
        print(f"{seed} ({seconds:.1f} s) {' '.join(words)}\n    {found}", flush=True)
    print(f"{last - first} combinations, {crashes} crashes")
    return crashes


if __name__ == "__main__":
    os.environ |= {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled"}
    sys.exit(bool(main(int(sys.argv[1]), int(sys.argv[2]))))
