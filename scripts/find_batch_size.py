"""The largest batch that fits, by trying: python scripts/find_batch_size.py [overrides of train.py]

Keys: limit_gb (GiB that may be used; default: what the device has free), and any words of train.py,
such as model=vit_small trainer=gpu. Each size trains two steps; on a CPU a size whose memory, as
counted, is not there is not tried.
"""

import sys
from pathlib import Path

from arclight.config.entry import plain_errors
from arclight.errors import UserError

CONFIGS = Path(__file__).parents[1] / "configs"


def main() -> None:
    words = sys.argv[1:]
    if "--help" in words or "-h" in words:
        print((__doc__ or "").strip())
        return
    limits = [word.partition("=")[2] for word in words if word.startswith("limit_gb=")]
    try:
        limit = float(limits[-1]) if limits else None
    except ValueError:
        raise UserError(f"limit_gb={limits[-1]} should be a number.") from None
    from hydra import compose, initialize_config_dir

    from arclight.config.check import check
    from arclight.config.freeze import freeze

    overrides = [word for word in words if not word.startswith("limit_gb=")]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = freeze(compose("train", overrides=["name=find_batch_size", *overrides]))
    check(config)
    from arclight.entry.batch_size import largest_batch

    found = largest_batch(config, limit, lambda line: print(line, flush=True))
    print(f"type data.batch_size={found}")


if __name__ == "__main__":
    with plain_errors(CONFIGS):
        main()
