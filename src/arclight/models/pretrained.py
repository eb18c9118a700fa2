"""Weights that others have trained: from the Hugging Face hub or a local folder."""

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
"""A folder with the config of a model alone, in a run whose checkpoints bring the weights."""


ADAPTER = "adapter_config.json"


def load_pretrained(kind: Any, name: str, **options: Any) -> Any:
    """A transformers model of this kind with published weights, in float32.

    Only safetensors are read, and no code that comes with a model is run.

    Args:
        kind: a transformers class with `from_pretrained`.
        name: `model.pretrained`: a local folder, or a hub id.
        options: of the model's config, such as `num_labels`; a head that does not fit is made anew.

    Raises:
        UserError: it is not there, out of reach, or not of this kind.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir() and name.startswith((".", "/", "~")):
        raise UserError(f"model.pretrained={name} does not exist: name a folder or a hub id.")
    here = folder.is_dir()
    if here and folder.name == ARCHITECTURE:
        from transformers import AutoConfig

        try:
            known = AutoConfig.from_pretrained(folder, trust_remote_code=False, **options)
            if not hasattr(kind, "from_config"):
                return kind(known)
            return kind.from_config(known, trust_remote_code=False)
        except Exception as error:  # of as many kinds as there are ways to be wrong
            raise UserError(f"{folder} holds no config of a model: {_why(error)}.") from error
    if here and (folder / ADAPTER).is_file():
        raise UserError(
            f"model.pretrained={name} is an adapter of another model, which {ADAPTER} names: merge "
            "the two (merge_and_unload() of peft), and name the folder of what comes of it."
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
        except Exception as error:  # likewise
            if not within or (not here and refusal(error)):
                raise UserError(out_of_reach(name, within, error)) from error
            raise UserError(
                f"model.pretrained={name} cannot be loaded as a {kind.__name__} ({_why(error)}): "
                "name a local folder with config.json and model.safetensors, or a hub id within "
                "reach."
            ) from error
    new = sorted({*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])})
    sizes = {key: parameter.numel() for key, parameter in found.named_parameters()}
    share = sum(sizes.get(key, 0) for key in new) / sum(sizes.values())
    if share > 0.5:
        _require_its_own(kind, name, share)
    if new:
        more = " ..." if len(new) > 4 else ""
        log.info(f"Weights from {name}; made anew: {', '.join(new[:4])}{more}")
    return found.train()  # the library gives it back with dropout off


def _why(error: Exception) -> str:
    """The library's complaint. It would have code run that comes with the files, which never is."""
    said = " ".join(str(error).split())
    if "trust_remote_code" in said:
        return "it brings code of its own, which is not run"
    return said[:200]


def _require_its_own(kind: Any, name: str, share: float) -> None:
    """Raises `UserError` where weights are another architecture's, so that most are made anew.

    A large new head has as large a share, beside weights of the right architecture.

    Args:
        share: of the parameters, what was made anew.
    """
    config = find_file(name, "config.json")
    theirs = read_json(config).get("model_type") if config else None
    ours = getattr(getattr(kind, "config_class", None), "model_type", None)
    if ours and theirs != ours:
        raise UserError(
            f"model.pretrained={name} is of model_type {theirs}, of whose weights "
            f"{kind.__name__} finds only {1 - share:.0%} of its own: type model=auto, or name the "
            f"weights of a {ours}."
        )
    if share == 1:
        raise UserError(
            f"model.pretrained={name} has no weight that {kind.__name__} knows by its name: name "
            "a folder that save_pretrained wrote, or a hub id."
        )


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the library's bars and tables; what matters is said in a line."""
    from transformers.utils import logging as of_transformers

    theirs: Any = of_transformers
    level, bars = theirs.get_verbosity(), theirs.is_progress_bar_enabled()
    theirs.set_verbosity_error()
    theirs.disable_progress_bar()
    try:
        yield
    finally:
        theirs.set_verbosity(level)
        if bars:
            theirs.enable_progress_bar()


def out_of_reach(name: str, within: bool, error: Exception | None = None) -> str:
    """The sentence about weights that are neither here nor to be had."""
    return (
        f"model.pretrained={name} is no folder here, and on the Hugging Face hub it "
        f"{why_not(within, error)}; with a copy, type model.pretrained=FOLDER."
    )


def find_file(name: str, file: str) -> Path | None:
    """A file of `model.pretrained`, in a local folder or the hub's; None where it has no such.

    Raises:
        UserError: the hub is out of reach, and so is this file in its cache.
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
            if known is not None:  # that there is none
                return None
            raise UserError(out_of_reach(name, within, error)) from error
        except EntryNotFoundError:
            return None
        except Exception as error:  # of many kinds: no such model, no right to it
            raise UserError(out_of_reach(name, within, error)) from error


def facts_behind(name: str) -> dict[str, Any] | None:
    """What a run, or a file exported from one, tells of the data behind its weights.

    Args:
        name: `model.pretrained`.

    Returns:
        The facts in plain values; None: `name` is neither, but a library's folder or a hub id.
    """
    place = Path(name).expanduser()
    run = RunDirectory(place)
    if run.config_file.is_file():
        facts: dict[str, Any] = run.manifest.get("data", {})
        return facts
    if not place.is_file():
        return None
    told = file_metadata(place)
    return {key: _value(text) for key, text in told.items()}


def file_metadata(file: Path) -> dict[str, str]:
    """What a file of weights says of its weights; nothing where it is none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            return dict(opened.metadata() or {})
    except (SafetensorError, OSError):  # which loading the weights will complain of
        return {}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
