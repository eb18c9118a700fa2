"""Finds the largest batch that fits: python scripts/find_batch_size.py [overrides of train.py]

Keys: limit_gb (GiB that may be used; default: the free memory of the device), and any overrides of
train.py, such as model=vit_small trainer=gpu. Each size trains for two steps; on a CPU, sizes whose
estimated memory is too large are skipped.
"""

import sys
from pathlib import Path

from arclight.config.arguments import show_help
from arclight.config.entry import plain_errors
from arclight.config.help.completion import complete
from arclight.errors import UserError

CONFIGS = Path(__file__).parents[1] / "configs"


def main() -> None:
    complete(("limit_gb",), configs=("train",))
    words = sys.argv[1:]
    show_help(__doc__, words)
    limits = [word.partition("=")[2] for word in words if word.startswith("limit_gb=")]
    try:
        limit = float(limits[-1]) if limits else None
    except ValueError:
        raise UserError(f"limit_gb={limits[-1]} should be a number.") from None
    from arclight.config.train_overrides import config_of

    overrides = [word for word in words if not word.startswith("limit_gb=")]
    config = config_of(overrides, name="find_batch_size")
    from arclight.entry.batch_size import largest_batch

    found = largest_batch(config, limit, lambda line: print(line, flush=True))
    print(f"type data.batch_size={found}")


if __name__ == "__main__":
    with plain_errors(CONFIGS):
        main()
