"""Test a finished run again, from its directory alone: python scripts/evaluate.py run=DIR

Keys: run (the directory), checkpoint (a file; default: the best), data (a path in the place of the
run's own). The figures are printed, and are the run's own to the last digit.

Weights that were trained elsewhere are tested without a run, by the words of train.py:
python scripts/evaluate.py model=NAME model.pretrained=FILE data=NAME
"""

import sys
from pathlib import Path

from arclight.config.arguments import arguments
from arclight.config.entry import plain_errors

CONFIGS = Path(__file__).parents[1] / "configs"


def main() -> None:
    words = sys.argv[1:]
    if any(word.startswith(("model=", "model.", "experiment=")) for word in words):
        _weights(words)
        return
    given = arguments(__doc__, required=("run",), optional=("checkpoint", "data"))
    from arclight.use.evaluate import evaluate

    evaluate(**given)


def _weights(words: list[str]) -> None:
    from hydra import compose, initialize_config_dir

    from arclight.config.check import check
    from arclight.config.freeze import freeze

    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = freeze(compose("train", overrides=["name=evaluate", *words]))
    check(config)
    from arclight.use.evaluate import evaluate_weights

    evaluate_weights(config)


if __name__ == "__main__":
    with plain_errors(CONFIGS):
        main()
