"""Tests a finished run again from its directory: python scripts/evaluate.py run=DIR

Keys: run (the directory), checkpoint (a file; default: the best), data (a path that replaces the
run's own). On the same data the printed metrics are equal to the run's own to the last digit.

Weights that were trained elsewhere are tested without a run, with overrides of train.py:
python scripts/evaluate.py model=NAME model.pretrained=FILE data=NAME
"""

import sys
from pathlib import Path

from arclight.config.arguments import arguments, show_help
from arclight.config.entry import plain_errors
from arclight.config.help.completion import complete

CONFIGS = Path(__file__).parents[1] / "configs"


KEYS = ("run", "checkpoint", "data")


def main() -> None:
    complete(KEYS, configs=("train",))
    words = sys.argv[1:]
    if any(word.lstrip("+").startswith(("model=", "model.", "experiment=")) for word in words):
        show_help(__doc__, words)
        from arclight.config.train_overrides import config_of
        from arclight.use.evaluate import evaluate_weights

        evaluate_weights(config_of(words, name="evaluate"))
        return
    given = arguments(__doc__, required=KEYS[:1], optional=KEYS[1:])
    from arclight.use.evaluate import evaluate

    evaluate(**given)


if __name__ == "__main__":
    with plain_errors(CONFIGS):
        main()
