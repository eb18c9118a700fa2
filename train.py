"""Train a model: `python train.py model=vit trainer=gpu`. `--help` lists the choices."""

import signal

# Until a run has begun there is nothing to save. An exception would come up in the middle of some
# import or interpolation, which may take it for an error of its own.
signal.signal(signal.SIGINT, signal.SIG_DFL)

import sys  # noqa: E402
from pathlib import Path  # noqa: E402

import hydra  # noqa: E402
from omegaconf import DictConfig  # noqa: E402

from arclight.config.best_of import expand  # noqa: E402
from arclight.config.entry import plain_errors  # noqa: E402
from arclight.config.help.completion import complete  # noqa: E402
from arclight.config.overrides import quoted  # noqa: E402

CONFIGS = Path(__file__).parent / "configs"


@hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name="train")
def main(cfg: DictConfig) -> None:
    from arclight.entry.start import start

    start(cfg)


if __name__ == "__main__":
    with plain_errors(CONFIGS):
        complete(configs=("train",))
        sys.argv[1:] = quoted(expand(sys.argv[1:]))
        main()
