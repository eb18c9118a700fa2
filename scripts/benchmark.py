"""What the project costs over bare PyTorch: python scripts/benchmark.py [PART] [key=value ...]

Parts, all by default. Each runs the project and loops of scripts/benchmarks/bare_*.py in turns:
  startup      train.py --cfg job, and the time from a process's start to its first training step
  multirun     what a job of `-m` takes beyond its training
  search       what a trial of a search costs beyond its training
  step         the fixed cost of a training step: metrics, bar, csv, checkpoints and schedule on
  plain        a LightningModule that knows nothing of the project, one self.log a step, against the
               same module under Lightning alone with one logger, no bar and no checkpoints
  data         augmented images per second, 32x32, against torchvision one image at a time; and
               photographs of 500x375 by two workers, against torchvision and WebDataset
  train        the CNN on 32x32 images end to end, images per second
  gpt          nanoGPT's CPU setting end to end, tokens per second, against nanoGPT's own loop
  checkpoint   how long a save of 25M parameters with AdamW's state stops training
  determinism  what order and randomness that resume exactly cost a step of a few milliseconds
  wrapped      a sample of an ordinary DataLoader that resumes exactly, against torch's
  multi        two processes training the ViT together (gloo), against twice the speed of one
  streams      mapped tokens, text and tar shards against the same data in memory
  gpu          GPT-124M, ViT-B/16 and ResNet-50 in bf16 from the device's memory, a step against the
               same step bare, and their share of the measured peak; left out where there is no GPU

Keys: runs (rounds of each part, default 7), steps (of a block; default: each part's own), data (a
folder of 32x32 images for data and train; default: synthetic), case (one model of gpu, such as
GPT-124M; default: all), output (a JSON file of the raw samples; default: a new one in runs/).

Nothing here fails for being slow. Measure on a machine that does nothing else.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.asked import Asked
from benchmarks.gpu import gpu
from benchmarks.loops import checkpoint, data, determinism, gpt, step, train
from benchmarks.plain import plain
from benchmarks.processes import multi, multirun, search, startup
from benchmarks.streams import streams
from benchmarks.wrapped import wrapped

from arclight.config.arguments import arguments
from arclight.config.entry import plain_errors
from arclight.config.suggest import did_you_mean
from arclight.errors import UserError
from arclight.report.benchmark import Row, table, write


def main() -> None:
    words = [word for word in sys.argv[1:2] if "=" not in word and not word.startswith("-")]
    part = words[0] if words else "all"
    if part not in [*PARTS, "all"]:
        raise UserError(f"{part} is not a part{did_you_mean(part, [*PARTS, 'all'])}")
    del sys.argv[1 : 1 + len(words)]
    given = arguments(__doc__, optional=("runs", "steps", "data", "case", "output"))
    sys.argv[1:1] = words  # the JSON file names the command
    for key in ("runs", "steps"):
        if not given.get(key, "1").isdigit() or given.get(key) == "0":
            raise UserError(f"{key}={given[key]} should be a whole number of 1 or more.")
    runs, steps = int(given.get("runs", 7)), int(given.get("steps", 0)) or None
    stamp = time.strftime("%Y%m%d-%H%M%S")
    output = Path(given.get("output", f"runs/benchmark-{part}-{stamp}.json"))
    rows: list[Row] = []
    for name in PARTS if part == "all" else [part]:
        with tempfile.TemporaryDirectory() as folder:
            new = PARTS[name](
                Asked(Path(folder), runs, steps, given.get("data"), given.get("case"))
            )
        if not new:  # the part has said why
            continue
        rows += new
        print(f"\n{name}\n{table(new)}", flush=True)
        write(rows, output)
    if rows:
        print(f"\nThe samples are in {output}.")


PARTS: dict[str, Callable[[Asked], list[Row]]] = {
    part.__name__: part
    for part in (
        *(startup, multirun, search, step, plain, data, train),
        *(gpt, checkpoint, determinism, wrapped, multi, streams, gpu),
    )
}


if __name__ == "__main__":
    with plain_errors():
        main()
