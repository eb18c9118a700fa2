"""Measure what files cost that would fill the memory or never end.

    python -m tests.safety.limits [WORD ...]

Each payload, or each whose name contains one of the words, is read in a fork of this process.
Prints the CPU seconds, the memory by which the process grew, and the error message; a `!` marks
what is over 2 s or 500 MB, or has no message. Works on Linux.
"""

import contextlib
import io
import os
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
import transformers

from arclight.errors import UserError
from arclight.models.weight_files import read_weights
from arclight.report.examples import read_examples
from arclight.run.opened import open_checked
from arclight.training.checkpoint_files import UnreadableCheckpointError
from arclight.training.checkpoint_files import read as read_checkpoint
from arclight_zoo.gallery.tabular.data import TableData
from arclight_zoo.pixels.decode import read_image
from arclight_zoo.pixels.image_data import ImageData
from arclight_zoo.tokens.tokenizer import published
from tests.safety import large_files
from tests.safety.test_limits import BOMBS, _csv, _parquet, _tar
from tests.test_reading import JSONS, YAMLS

SECONDS, BYTES = 2, 500e6
LIMIT = 60  # seconds, after which a payload is killed
Use = Callable[[Path], object]
Payload = tuple[Use, Use]
"""Writes the files into an empty folder, and reads them."""

assert transformers  # imported before the forks, as are torch and the readers


def _run_with(name: str, text: str) -> Payload:
    def write(folder: Path) -> None:
        (folder / "config.yaml").write_text("a: 1\n")
        (folder / "summary.json").write_text('{"status": "finished"}')
        (folder / name).write_text(text)

    return write, open_checked


def _labels(write: Callable[[Path, str], None]) -> Payload:
    column = "image" if write is _parquet else None
    return (
        lambda folder: write(folder / "data", "x" * 4_000_000),
        lambda folder: ImageData(str(folder / "data"), image_column=column).setup("fit"),
    )


def _file(write: Use, name: str, read: Use) -> Payload:
    return lambda folder: write(folder / name), lambda folder: read(folder / name)


def payloads() -> Iterator[tuple[str, Payload]]:
    """The payloads by name; each gets an empty folder."""
    for name, text in YAMLS.items():
        yield f"config.yaml: {name}", _run_with("config.yaml", text)
    for name, text in (JSONS | large_files.JSONS).items():
        yield f"summary.json: {name}", _run_with("summary.json", text)
    for name, content in BOMBS.items():
        picture = partial(Path.write_bytes, data=content)
        yield name, _file(picture, "a.png", lambda file: read_image(file, file.name))
    for write in (_csv, _parquet, _tar):
        yield f"a label of megabytes: {write.__name__[1:]}", _labels(write)
    for name, write_file, suffix in large_files.FILES:
        read = {
            "ckpt": read_checkpoint,
            "parquet": read_examples,
            "pt": lambda file: read_weights(file, file.name),
            "safetensors": lambda file: read_weights(file, file.name),
            "csv": lambda file: TableData(str(file), target="y").setup("fit"),
            "json": lambda file: published(str(file.parent)),
            "npy": lambda file: read_image(file, file.name),
        }[suffix]
        place = "tokenizer.json" if suffix == "json" else f"a.{suffix}"
        yield f"{suffix}: {name}", _file(write_file, place, read)


def measured(payload: Payload) -> tuple[float, float, str]:
    """The CPU seconds, the bytes of memory and the end of one payload."""
    receive, send = os.pipe()
    with tempfile.TemporaryDirectory() as folder:
        child = os.fork()
        if not child:
            _attempt(payload, Path(folder), send)
        os.close(send)
        with os.fdopen(receive) as answer:
            said = answer.read()
        _, status, usage = os.wait4(child, 0)
    if not said:
        said = f"killed by signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else "no answer"
        return usage.ru_utime + usage.ru_stime, 1024.0 * usage.ru_maxrss, said
    seconds, size, said = said.split("\t", 2)
    return float(seconds), float(size), said


def _attempt(payload: Payload, folder: Path, send: int) -> None:
    write, read = payload
    write(folder)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of writing
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT))
    before, began = _peak(), time.process_time()
    said = "read"
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            read(folder)
        except (UserError, UnreadableCheckpointError) as error:
            said = str(error).partition("\n")[0].replace(str(folder), "")
        except BaseException as error:
            said = f"! {type(error).__name__}: {error}".partition("\n")[0]
    grown = _peak() - before
    os.write(send, f"{time.process_time() - began}\t{grown}\t{said:.200}".encode())
    os._exit(0)


def _peak() -> int:
    """The most bytes of memory that the process has had since the peak was last cleared."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found
    return 1024 * int(found[1])


def main() -> None:
    torch.set_num_threads(1)
    print(f"{'':1} {'payload':45} {'CPU s':>6} {'MB':>6}  end")
    over = 0
    for name, payload in payloads():
        if sys.argv[1:] and not any(word in name for word in sys.argv[1:]):
            continue
        seconds, size, said = measured(payload)
        bad = seconds > SECONDS or size > BYTES or said.startswith(("!", "killed"))
        over += bad
        print(f"{'!' if bad else '':1} {name:45} {seconds:6.2f} {size / 1e6:6.0f}  {said:.70}")
    print(f"{over} over {SECONDS} s or {BYTES / 1e6:.0f} MB, or without a sentence")


if __name__ == "__main__":
    main()
