"""Pretrained weights: `model.pretrained`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import Tensor, nn

from arclight.config.build import build
from arclight.config.signatures.signature import parameters
from arclight.console import say
from arclight.errors import UserError
from arclight.files import write_text
from arclight.masking import from_environment
from arclight.models.pretrained import ARCHITECTURE, file_metadata, find_file
from arclight.models.weight_files import read_weights
from arclight.models.weight_matching import Matched, matched
from arclight.run.opened import open_checked
from arclight.run_directory import RunDirectory, chosen_checkpoint

LoadRun = Callable[[RunDirectory], Any]
WEIGHTS = "model.safetensors"  # the file name of timm and transformers


def build_model(
    config: dict[str, Any],
    begun: Path | None = None,
    *,
    load_run: LoadRun,
    **found: Any,
) -> nn.Module:
    """Builds the config's model, with random weights or those of `pretrained`.

    A model with a `pretrained` argument loads published weights itself. Any other model is built
    first, then takes the weights with matching names and shapes. Weights of earlier runs work with
    every model.

    Args:
        config: the config's `model`.
        begun: a run directory with a checkpoint, so no pretrained weights are loaded here.
        load_run: loads the task of another run, with its weights.
        found: sizes of the model from the data.

    Raises:
        UserError: the weights do not exist, or belong to another model.
    """
    config = from_environment(config, "model")
    name = config.get("pretrained")
    plain = {k: v for k, v in config.items() if k != "pretrained"}
    loads_itself = "pretrained" in parameters(config["_target_"])
    if loads_itself and isinstance(name, bool):  # a flag of the library
        return _built({**plain, "pretrained": name and not begun}, found)
    with sizes(begun or name) as folder:
        if loads_itself and name and not folder and not _of_this_project(name):
            return _built(config, found)
        model = _built({**plain, "pretrained": folder} if loads_itself else plain, found)
    if name and not begun:
        _take(model, _weights(name, load_run, model.state_dict()), name)
    return model


def _built(config: dict[str, Any], found: dict[str, Any]) -> nn.Module:
    model: nn.Module = build(config, **found)
    return model


def _of_this_project(name: str) -> bool:
    """Whether this is a run or a file exported from one, not a library's folder or a hub id."""
    place = Path(name).expanduser()
    return _is_run(place) or place.is_file()


def _is_run(place: Path) -> bool:
    """Whether this looks like a run directory, complete or not."""
    run = RunDirectory(place)
    return run.config_file.exists() or run.summary_file.exists()


def keep_sizes(model: nn.Module, config: dict[str, Any], folder: Path) -> None:
    """Saves the architecture of published weights to the run directory."""
    net: Any = getattr(model, "net", None)
    name = from_environment(config.get("pretrained"))
    if net is None or not isinstance(name, str) or not name:
        return
    with sizes(name) as known:
        if known or not _of_this_project(name):
            net.config.save_pretrained(folder / ARCHITECTURE)


@contextmanager
def sizes(of: str | Path | None) -> Iterator[str | None]:
    """A folder with the library's config for the model of a run or a file; None if it has none."""
    place = Path(of).expanduser() if of else Path()
    if (place / ARCHITECTURE).is_dir():
        yield str(place / ARCHITECTURE)
        return
    told = file_metadata(place).get(ARCHITECTURE) if of and place.is_file() else None
    if told is None:
        yield None
        return
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / ARCHITECTURE
        folder.mkdir()
        write_text(folder / "config.json", told)
        yield str(folder)


def _weights(name: str, load_run: LoadRun, own: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of a run, a file, a folder with a file, or a hub id."""
    place = Path(name).expanduser()
    if _is_run(place):
        return _of_run(open_checked(place), load_run)
    file = place if place.is_file() else find_file(name, WEIGHTS)
    if file is None:
        raise UserError(
            f"model.pretrained={name} has no weights: give a run directory, a file such as "
            f"{WEIGHTS} or model.pt, a folder with {WEIGHTS}, or a hub id."
        )
    weights = read_weights(file, f"model.pretrained={name}", own)
    if weights.others:
        say(f"{name} has weights as {weights.part}, which are used, and as {_few(weights.others)}.")
    return weights


def _of_run(run: RunDirectory, load_run: LoadRun) -> dict[str, Tensor]:
    """A run's tested weights, with LoRA's matrices merged."""
    from arclight.training.checkpoint_files import UnreadableCheckpointError, read

    try:
        state = read(chosen_checkpoint(run, None))["state_dict"]
    except UnreadableCheckpointError as error:
        raise UserError(f"{error}: choose another run for model.pretrained.") from error
    if any("lora_" in key for key in state):
        from arclight.training.finetune import merge_adapters

        return merge_adapters(load_run(run).model).state_dict()
    return {k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")}


def _take(model: nn.Module, weights: dict[str, Tensor], name: str) -> None:
    if hasattr(model, "adapt_weights"):  # the model renames weights itself
        weights = model.adapt_weights(weights)  # type: ignore[operator]
    own = model.state_dict()
    found = matched(weights, own)
    taken = {
        own[k].data_ptr() for k in found.taken if own[k].numel()
    }  # a tied weight has two names
    new = [k for k in own if k not in found.taken and own[k].data_ptr() not in taken]
    if 2 * len(new) > len(own):
        raise UserError(
            f"model.pretrained={name} has weights of another model: only {len(own) - len(new)} of "
            f"{len(own)} match by name and shape{_examples(found, new)}; give the model the sizes "
            "of these weights."
        )
    plain = {k: v.float() if v.is_floating_point() else v for k, v in found.taken.items()}
    model.load_state_dict(plain, strict=False)
    report = [
        f"newly initialised: {_few(new)}" if new else "",
        f"left out: {_few(found.left_out)}" if found.left_out else "",
        f"of another shape: {_few(list(found.other_shape))}" if found.other_shape else "",
        f"matched by shape: {_few([f'{b} as {a}' for a, b in found.renamed.items()])}"
        if found.renamed
        else "",
    ]
    if any(report):
        say("; ".join([f"{len(plain)} weights from {name}", *filter(None, report)]))


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _examples(found: Matched, new: list[str]) -> str:
    """One difference in shape or name, in brackets."""
    for name, (theirs, ours) in found.other_shape.items():
        return f" ({name} has the shape {list(theirs)}, here {list(ours)})"
    if found.left_out and new:
        return f" (the file has {found.left_out[0]}, the model {new[0]})"
    return ""
