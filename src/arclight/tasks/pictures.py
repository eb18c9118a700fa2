"""Sends plots to the loggers that support images."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger


def log_picture(loggers: Iterable[object], picture: Path, step: int) -> None:
    """Logs an image file as `plots/NAME` to W&B and TensorBoard."""
    name = f"plots/{picture.stem}"
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.log_image(name, [str(picture)], step)
        elif isinstance(logger, TensorBoardLogger):
            from PIL import Image

            with Image.open(picture) as opened:
                pixels = np.array(opened.convert("RGB"))
            board: Any = logger.experiment
            board.add_image(name, pixels, step, dataformats="HWC")
