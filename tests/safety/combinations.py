"""Try random combinations of group options: each is trained or rejected.

    python -m tests.safety.combinations FOLDER SEED SEED ...

All run in this process; FOLDER is the working directory. Prints a line of JSON for each seed: its
overrides, the error message (null: it trained), and the traceback if it crashed. The options are
those in `configs/`, so new ones are included automatically.
"""

import contextlib
import io
import json
import os
import random
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException

from arclight.config.checks.check import check
from arclight.config.compose import freeze_as_composed
from arclight.config.help.hydra_errors import in_a_sentence
from arclight.config.layout import GROUPS
from arclight.config.options import options
from arclight.config.project import PROJECT
from arclight.errors import UserError
from arclight.processes.devices import require_devices
from arclight.run.execute import execute
from arclight.run_directory import create

OFTEN = 0.5
RARELY = {
    "task": 0.05,
    "data": 0.15,
    "trainer": 0.2,
    "finetune": 0.2,
    "logger": 0.3,
    "experiment": 0.15,
    "debug": 0.1,
}
"""The probability of choosing a group, for groups whose options fit few others."""

SETTINGS = {
    "trainer.precision": ["32-true", "bf16-mixed", "auto"],
    "trainer.gradient_clip_val": ["null", "0.5"],
    "trainer.accumulate_grad_batches": ["1", "2"],
    "trainer.limit_val_batches": ["0", "1", "0.5"],
    "trainer.num_sanity_val_steps": ["0", "1"],
    "callbacks.ema.decay": ["null", "0.9"],
    "callbacks.early_stopping.patience": ["null", "1"],
    "deterministic": ["false", "true"],
    "on_nonfinite": ["stop", "skip"],
}
SHORT = {
    "trainer.max_steps": 2,
    "trainer.max_time": "null",
    "trainer.log_every_n_steps": 1,
    "trainer.devices": 1,
    "data.limit": 24,
    "data.batch_size": 4,
    "data.eval_batch_size": 4,
    "data.num_workers": 0,
    "model.n_layers": 1,
    "model.image_n_layers": 1,
    "task.samples": 8,
    "task.teacher_overrides": "['data=digits','model.widths=[8]','trainer.max_steps=2']",
    "model.text_n_layers": 1,
    "compile": "false",
    "preflight": "false",
    "name": "run",
}
"""Settings that make a run quick, for configs that have the key."""


def drawn(seed: int) -> list[str]:
    """Returns the overrides of one combination."""
    draw = random.Random(seed)
    groups = [*(group for group in GROUPS if group != "search"), "experiment", "debug"]
    words = [
        f"{group}={draw.choice(options(group))}"
        for group in groups
        if draw.random() < RARELY.get(group, OFTEN)
    ]
    for key, values in SETTINGS.items():
        if draw.random() < 0.15:
            words.append(f"{key}={draw.choice(values)}")
    return words


def composed(words: Sequence[str]) -> dict[str, Any]:
    """The frozen config."""
    with initialize_config_dir(str(PROJECT / "configs"), version_base="1.3"):
        return freeze_as_composed(compose("train", list(words), return_hydra_config=True))


def shortened(words: Sequence[str]) -> list[str]:
    """Returns the overrides with those that make the run quick."""
    config, given = composed(words), {word.partition("=")[0] for word in words}
    more = []
    for key, value in SHORT.items():
        group, _, name = key.rpartition(".")
        node = config.get(group) if group else config
        if isinstance(node, dict) and name in node and key not in given:
            more.append(f"{key}={value}")
    return [*words, *more]


def refused(words: Sequence[str], folder: Path) -> str | None:
    """Trains the combination for two steps; returns the error message, or None if it trained.

    Raises:
        RuntimeError: it crashed.
    """
    try:
        config = composed(shortened(words))
        check(config)
        require_devices(config["trainer"])
        run = create(folder, folder.parent, "run", config, list(words), {})
        code = execute(run)
    except UserError as error:
        return str(error)
    except HydraException as error:
        return in_a_sentence(error)
    if code not in (0, 2):
        raise RuntimeError(run.log_file.read_text())
    return str(run.summary["error"]) if code else None


def main() -> None:
    os.environ |= {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled"}
    os.environ["TORCHDYNAMO_DISABLE"] = "1"  # compilation takes a minute; it has its own tests
    os.chdir(sys.argv[1])
    for seed in map(int, sys.argv[2:]):
        began, said, crash = time.monotonic(), None, None
        quiet = io.StringIO()
        try:
            with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
                said = refused(drawn(seed), Path.cwd() / str(seed))
        except Exception:
            crash = traceback.format_exc()
        found = {"seed": seed, "words": drawn(seed), "refused": said, "crash": crash}
        print(json.dumps({**found, "seconds": round(time.monotonic() - began, 1)}), flush=True)


if __name__ == "__main__":
    main()
