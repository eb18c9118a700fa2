"""Export a run's model to a file or a folder, and verify its outputs."""

import os
import shlex
import shutil
from pathlib import Path
from typing import Literal

from arclight.errors import UserError
from arclight.files import sync_folder
from arclight.provenance.code import warn_of_changes
from arclight.run.opened import open_checked
from arclight.run_directory import chosen_checkpoint
from arclight.use.push import require_may_push, upload

Format = Literal["safetensors", "onnx", "torch_export", "hf"]
ENDINGS: dict[str, str] = {
    "safetensors": ".safetensors",
    "onnx": ".onnx",
    "torch_export": ".pt2",
    "hf": "",
}
TOLERANCE = 1e-4  # allowed difference, relative to the largest output


def export(
    run: str,
    format: str,
    output: str | None = None,
    merge: bool = True,
    checkpoint: str | None = None,
    license: str | None = None,
    push: str | None = None,
    private: bool = True,
) -> Path:
    """Writes the model, loads it again, compares its outputs with the run's, and renames it.

    Args:
        run: the run directory.
        format: `safetensors` (weights and the facts of their data, for `model.pretrained=FILE`),
            `onnx` and `torch_export` (a program that takes batches of any size), or `hf` (a folder
            that transformers or timm opens, with the tokenizer).
        output: the file or folder, which must be new; None: one in the run directory.
        merge: merge LoRA's matrices into the weights.
        checkpoint: a checkpoint file; None: the one that the run tested.
        license: the license in the model card; None: not stated.
        push: ORG/NAME on the Hugging Face hub to upload the folder (hf) to; None: nowhere.
        private: whether a new repository is private.

    Returns:
        The file or folder. An example that uses it without this project and a model card are beside
        the file or in the folder.

    Raises:
        UserError: the model does not support the format, the export has other outputs than the run
            (it is removed), an argument is not valid, or the hub rejects the folder (it is kept).
    """
    if format not in ENDINGS:
        raise UserError(f"format={format} is unknown: type one of {', '.join(ENDINGS)}.")
    if not merge and format != "safetensors":
        raise UserError(
            f"merge=false keeps LoRA's matrices apart, which format={format} does not support: "
            "leave it out, or type format=safetensors."
        )
    if push is not None:
        require_may_push(push, format)
    directory = open_checked(run)
    place = Path(output).expanduser() if output else directory.path / f"model{ENDINGS[format]}"
    if place.exists():
        raise UserError(f"{place} already exists: remove it, or type output=PATH with a new one.")
    if not place.parent.is_dir():
        raise UserError(f"output={output} is in a folder that does not exist: create it first.")
    chosen_checkpoint(directory, checkpoint)  # before torch is imported
    warn_of_changes(directory)

    from safetensors import SafetensorError

    from arclight.use.example import usage_of
    from arclight.use.export_files import write_beside
    from arclight.use.formats import write
    from arclight.use.trained import trained

    one = trained(directory, checkpoint)
    part = place.parent / f".{place.name}.{os.getpid()}.new"
    try:
        part.mkdir()
        usage = usage_of(one, format)
        carried = usage.carries if usage else {}
        difference, size = write(one, format, part / place.name, merge, carried)
        if not difference <= TOLERANCE * size:
            raise UserError(
                f"The {format} export has other outputs than the run: they differ by "
                f"{difference:.1e} for outputs up to {size:.1e}; it was removed. Type "
                "another format."
            )
        script = write_beside(one, format, part / place.name, usage, license)
        settle(part, place)
    except (OSError, SafetensorError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"{place} cannot be written: {said}. Type output=PATH with a writable place that has "
            "room."
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    print(
        f"{place} gives the outputs of the run: the largest difference is {difference:.1e}, for "
        f"outputs up to {size:.1e} (allowed: {TOLERANCE:g} of that)."
    )
    if usage and script:
        example = (place if place.is_dir() else place.parent) / script
        print(f"Use it: python {shlex.quote(str(example))} {usage.asks}")
    if push is not None:
        upload(place, push, private)
    return place


def settle(part: Path, place: Path) -> None:
    """Syncs the files in `part`, and moves them beside `place`; `place` itself last."""
    readable = part.stat().st_mode & 0o666  # by the user's umask, which safetensors ignores
    for file in part.rglob("*"):
        if file.is_file():
            file.chmod(readable)
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
    for one in sorted(part.iterdir(), key=lambda one: one.name == place.name):
        one.rename(place.parent / one.name)
    sync_folder(place.parent)
