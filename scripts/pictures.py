"""Creates the pictures of the README: python scripts/pictures.py [run=DIR]

Trains the default run, or takes the finished one in `run`, and writes into docs/images: train.svg,
the terminal's output; plots.png, the run's plots.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.text import Text

from arclight.config.arguments import arguments
from arclight.config.entry import plain_errors

PROJECT = Path(__file__).parents[1]
IMAGES = PROJECT / "docs" / "images"
PLOTS = ("curves", "confusion_matrix", "class_scores")
COLUMNS = 100
HEIGHT = 360  # height of each plot in pixels
SHOWN = 2  # number of validation lines at the beginning and at the end
LINE = re.compile(r"epoch \d+/\d+, step \d+: ")
TIME = re.compile(r"(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ")  # the time at the start of a log line


def train(run: Path) -> None:
    """Trains the default run, as `make train` does."""
    command = [sys.executable, "train.py", f"run_dir={run}"]
    environment = {**os.environ, "COLUMNS": str(COLUMNS)}
    subprocess.run(command, cwd=PROJECT, env=environment, check=True)


def shortened(lines: list[str]) -> list[str]:
    """Leaves out the validations in the middle."""
    validations = [i for i, line in enumerate(lines) if LINE.match(line)]
    dropped = validations[SHOWN:-SHOWN]
    kept = [line for i, line in enumerate(lines) if i not in dropped[1:]]
    return ["..." if dropped and line == lines[dropped[0]] else line for line in kept]


def terminal(log: str, path: Path) -> str:
    """An SVG of the terminal's output, without fonts from a network.

    Args:
        log: the run's `train.log`.
        path: of the run, which the picture shows as `runs/NAME`.
    """
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(Text("$ python train.py", "bold"))
    said = TIME.sub("", log).replace(str(path), "runs/cnn-digits-20261127-093012-4f1c")
    for line in shortened(said.splitlines()):
        console.print(Text(line), overflow="ellipsis", no_wrap=True)
    svg = console.export_svg(title="Arclight", unique_id="train")
    return re.sub(r"\s*(@font-face \{.*?\}|<!--.*?-->)", "", svg, flags=re.DOTALL)


def side_by_side(files: list[Path]) -> Image.Image:
    """The plots, scaled to one height, with few colours."""
    plots = [Image.open(file).convert("RGB") for file in files]
    scaled = [plot.resize((plot.width * HEIGHT // plot.height, HEIGHT)) for plot in plots]
    whole = Image.new("RGB", (sum(plot.width for plot in scaled), HEIGHT), "white")
    left = 0
    for plot in scaled:
        whole.paste(plot, (left, 0))
        left += plot.width
    return whole.quantize(48)


def main() -> None:
    given = arguments(__doc__, optional=("run",))
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(given.get("run", f"{folder}/run"))
        if "run" not in given:
            train(run)
        svg = terminal((run / "train.log").read_text(), run)
        (IMAGES / "train.svg").write_text(svg)
        plots = [run / "plots" / f"{name}.png" for name in PLOTS]
        side_by_side(plots).save(IMAGES / "plots.png", optimize=True)


if __name__ == "__main__":
    with plain_errors():
        main()
