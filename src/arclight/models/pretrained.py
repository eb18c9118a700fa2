"""Load pretrained weights from the Hugging Face hub or a local folder."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from arclight.errors import UserError
from arclight.network import address, hub, refusal, why_not
from arclight.reading import read_json
from arclight.run_directory import RunDirectory

__all__ = ["facts_behind", "find_file", "load_pretrained"]

log = logging.getLogger("arclight.models")

ARCHITECTURE = "architecture"
"""A folder in a run with only a model's config; the run's checkpoints have the weights."""


ADAPTER = "adapter_config.json"


def load_pretrained(kind: Any, name: str, **options: Any) -> Any:
    """Loads a transformers model with pretrained weights, in float32.

    Reads only safetensors, and runs no code from the repository of the model.

    Args:
        kind: a transformers class with `from_pretrained`.
        name: `model.pretrained`: a local folder or a hub id.
        options: keys of the model's config, such as `num_labels`; a head that does not fit is
            initialized randomly.

    Raises:
        UserError: the weights do not exist, cannot be reached, or are not of this kind of model.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir() and name.startswith((".", "/", "~")):
        raise UserError(f"model.pretrained={name} does not exist: type a folder or a hub id.")
    here = folder.is_dir()
    if here and folder.name == ARCHITECTURE:
        from transformers import AutoConfig

        try:
            known = AutoConfig.from_pretrained(folder, trust_remote_code=False, **options)
            if not hasattr(kind, "from_config"):
                return kind(known)
            return kind.from_config(known, trust_remote_code=False)
        except Exception as error:  # transformers raises many types of errors
            raise UserError(f"{folder} has no valid config of a model: {_why(error)}.") from error
    if here and (folder / ADAPTER).is_file():
        raise UserError(
            f"model.pretrained={name} is an adapter of another model, see {ADAPTER}: merge the two "
            "(merge_and_unload() of peft), and type the folder of the merged model."
        )
    repo, revision = (str(folder), None) if here else address(name)[::2]
    with nullcontext(True) if here else hub() as within:
        try:
            with _quietly():
                found, report = kind.from_pretrained(
                    repo,
                    revision=revision or "main",
                    dtype=torch.float32,
                    use_safetensors=True,
                    trust_remote_code=False,
                    ignore_mismatched_sizes=True,
                    output_loading_info=True,
                    **options,
                )
        except Exception as error:  # transformers raises many types of errors
            if not within or (not here and refusal(error)):
                raise UserError(out_of_reach(name, within, error)) from error
            raise UserError(
                f"model.pretrained={name} cannot be loaded as a {kind.__name__} ({_why(error)}): "
                "type a local folder with config.json and model.safetensors, or a hub id that can "
                "be reached."
            ) from error
    new = sorted({*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])})
    sizes = {key: parameter.numel() for key, parameter in found.named_parameters()}
    share = sum(sizes.get(key, 0) for key in new) / sum(sizes.values())
    if share > 0.5:
        _require_its_own(kind, name, share)
    if new:
        more = " ..." if len(new) > 4 else ""
        log.info(f"Weights from {name}; initialized randomly: {', '.join(new[:4])}{more}")
    return found.train()  # from_pretrained returns it in evaluation mode


def _why(error: Exception) -> str:
    """The library's error message, shortened; own code in the files is never run."""
    message = " ".join(str(error).split())
    if "trust_remote_code" in message:
        return "it needs its own code, which is not run"
    return message[:200]


def _require_its_own(kind: Any, name: str, share: float) -> None:
    """Raises `UserError` if the weights belong to another architecture.

    A large new head alone is no error, although most parameters may then be random.

    Args:
        kind: a transformers class.
        name: `model.pretrained`.
        share: the share of the parameters that were initialized randomly.
    """
    config = find_file(name, "config.json")
    theirs = read_json(config).get("model_type") if config else None
    ours = getattr(getattr(kind, "config_class", None), "model_type", None)
    if ours and theirs != ours:
        raise UserError(
            f"model.pretrained={name} has model_type {theirs}, which has only {1 - share:.0%} of "
            f"the weights of {kind.__name__}: type model=auto, or the weights of a {ours}."
        )
    if share == 1:
        raise UserError(
            f"model.pretrained={name} has no weight with a name of {kind.__name__}: type a folder "
            "that save_pretrained wrote, or a hub id."
        )


@contextmanager
def _quietly() -> Iterator[None]:
    """Turns off the library's progress bars and tables within the block."""
    from transformers.utils import logging as transformers_logging

    library: Any = transformers_logging
    level, bars = library.get_verbosity(), library.is_progress_bar_enabled()
    library.set_verbosity_error()
    library.disable_progress_bar()
    try:
        yield
    finally:
        library.set_verbosity(level)
        if bars:
            library.enable_progress_bar()


def out_of_reach(name: str, within: bool, error: Exception | None = None) -> str:
    """The error message for weights that are neither in a folder nor on the hub."""
    return (
        f"model.pretrained={name} is not a local folder, and on the Hugging Face hub it "
        f"{why_not(within, error)}; if you have a copy, type model.pretrained=FOLDER."
    )


def find_file(name: str, file: str) -> Path | None:
    """Returns a file of `model.pretrained`, from a local folder or the hub; None if it has none.

    Raises:
        UserError: the hub cannot be reached, and the file is not in its cache.
    """
    place = Path(name).expanduser()
    if place.exists() or name.startswith((".", "/", "~")):
        return place / file if (place / file).is_file() else None
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    repo, _, revision = address(name)
    with hub() as within:
        try:
            return Path(hf_hub_download(repo, file, revision=revision))
        except LocalEntryNotFoundError as error:
            known = try_to_load_from_cache(repo, file, revision=revision)
            if known is not None:  # the cache knows that the file does not exist
                return None
            raise UserError(out_of_reach(name, within, error)) from error
        except EntryNotFoundError:
            return None
        except Exception as error:  # many types: no such model, no permission
            raise UserError(out_of_reach(name, within, error)) from error


def facts_behind(name: str) -> dict[str, Any] | None:
    """Returns the facts of the data that pretrained weights were trained on.

    Args:
        name: `model.pretrained`: a run, or a file exported from one.

    Returns:
        The facts as plain values; None if `name` is a library's folder or a hub id.
    """
    place = Path(name).expanduser()
    run = RunDirectory(place)
    if run.config_file.is_file():
        facts: dict[str, Any] = run.manifest.get("data", {})
        return facts
    if not place.is_file():
        return None
    return {key: _value(text) for key, text in file_metadata(place).items()}


def file_metadata(file: Path) -> dict[str, str]:
    """Returns the metadata of a safetensors file; empty if it is not one."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            return dict(opened.metadata() or {})
    except (SafetensorError, OSError):  # loading the weights reports it
        return {}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
