"""Compares the project with bare PyTorch: python scripts/benchmark.py [PART] [key=value ...]

Parts, all by default. They alternate between the project and scripts/benchmarks/bare_*.py:
  startup      train.py --cfg job, and the time from a process's start to its first training step
  multirun     the overhead of a job of `-m` beyond its training
  search       the overhead of a trial of a search beyond its training
  step         the overhead of a training step: metrics, bar, csv, checkpoints and schedule
  plain        a plain LightningModule with one self.log per step, against the same module with
               Lightning alone, one logger, no bar and no checkpoints
  data         augmented images per second, 32x32, against torchvision one image at a time; and
               photographs of 500x375 by two workers, against torchvision and WebDataset
  train        the CNN on 32x32 images end to end, images per second
  gpt          nanoGPT's CPU setting end to end, tokens per second, against nanoGPT's own loop
  checkpoint   how long saving 25M parameters with AdamW's state interrupts training
  determinism  the overhead of exact resuming in a step of a few milliseconds
  wrapped      a sample of an ordinary DataLoader that resumes exactly, against torch's own
  multi        two processes training the ViT together (gloo), against twice the speed of one
  streams      mapped tokens, text and tar shards against the same data in memory
  gpu          GPT-124M, ViT-B/16 and ResNet-50 in bf16 with data on the GPU: a step against the
               same step in bare PyTorch, and the MFU of the measured peak; skipped without a GPU

Keys: runs (rounds of each part, default 7), steps (of a block; default: depends on the part), data
(a folder of 32x32 images for data and train; default: synthetic), case (one model of gpu, such as
GPT-124M; default: all), output (a JSON file of the raw samples; default: a new one in runs/).

Missing a target is not an error. Measure on an otherwise idle machine.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.gpu import gpu
from benchmarks.loops import checkpoint, data, determinism, gpt, step, train
from benchmarks.options import Options
from benchmarks.plain import plain
from benchmarks.processes import multi, multirun, search, startup
from benchmarks.samples import Row, table, write
from benchmarks.streams import streams
from benchmarks.wrapped import wrapped

from arclight.config.arguments import arguments
from arclight.config.entry import plain_errors
from arclight.config.suggest import did_you_mean
from arclight.errors import UserError


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
                Options(Path(folder), runs, steps, given.get("data"), given.get("case"))
            )
        if not new:  # the part has printed the reason
            continue
        rows += new
        print(f"\n{name}\n{table(new)}", flush=True)
        write(rows, output)
    if rows:
        print(f"\nSamples: {output}")


PARTS: dict[str, Callable[[Options], list[Row]]] = {
    part.__name__: part
    for part in (
        *(startup, multirun, search, step, plain, data, train),
        *(gpt, checkpoint, determinism, wrapped, multi, streams, gpu),
    )
}


if __name__ == "__main__":
    with plain_errors():
        main()
