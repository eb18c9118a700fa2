"""Train a model: `python train.py model=vit trainer=gpu`. `--help` lists the choices."""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from arclight.config.best_of import expand
from arclight.config.entry import plain_errors

CONFIGS = Path(__file__).parent / "configs"


@hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name="train")
def main(cfg: DictConfig) -> None:
    from arclight.run.start import start

    start(cfg)


if __name__ == "__main__":
    with plain_errors(CONFIGS):
        sys.argv[1:] = expand(sys.argv[1:])
        main()
