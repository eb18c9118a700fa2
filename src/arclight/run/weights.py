"""Where a model starts from, when not from random weights: `model.pretrained`."""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from arclight.config.build import build
from arclight.config.signature import parameters
from arclight.errors import UserError
from arclight.models.gpt import GPT, from_transformers_gpt2
from arclight.models.vit import ViT, from_timm_vit, from_transformers_vit
from arclight.run.console import say
from arclight.run.directory import RunDirectory
from arclight.run.evaluate import chosen_checkpoint

WEIGHTS = "model.safetensors"  # what timm and transformers call them


def build_model(config: dict[str, Any], **found: Any) -> nn.Module:
    """The config's model, from random weights or from those that `pretrained` names.

    A model that loads published weights by itself is given the name; any other is built first, and
    takes the weights whose names and shapes fit. Those of an earlier run fit every model.

    Args:
        found: what the data say of the model's sizes.

    Raises:
        UserError: the weights are not there, or are of another model.
    """
    name = config.get("pretrained")
    plain = {k: v for k, v in config.items() if k != "pretrained"}
    run = RunDirectory(Path(name).expanduser()) if name else None
    own_door = "pretrained" in parameters(config["_target_"])
    if name and own_door and not (run and run.config_file.is_file()):
        model: nn.Module = build(config, **found)
        return model
    model = build(plain, **found)
    if name:
        _take(model, _weights(name), name)
    return model


def _weights(name: str) -> dict[str, Tensor]:
    """The state dict of a run, of a safetensors file, of a folder with one, or of a hub id."""
    from safetensors.torch import load_file

    place = Path(name).expanduser()
    if (place / "config.yaml").is_file():
        from arclight.training.checkpoints import read

        state = read(chosen_checkpoint(RunDirectory(place), None))["state_dict"]
        return {k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")}
    file = place / WEIGHTS if place.is_dir() else place
    if file.is_file():
        return load_file(file)
    if place.exists() or name.startswith((".", "/", "~")):
        raise UserError(
            f"model.pretrained={name} holds no weights: name a run directory, a {WEIGHTS} file or "
            "a folder with one, or a hub id."
        )
    from huggingface_hub import hf_hub_download

    try:
        return load_file(hf_hub_download(name, WEIGHTS))
    except Exception as error:  # of many kinds: no network, no such model, no such file
        raise UserError(
            f"model.pretrained={name} is no folder here, and its {WEIGHTS} cannot be had from the "
            f"Hugging Face hub ({type(error).__name__}); with a copy, type model.pretrained=FOLDER."
        ) from error


def _take(model: nn.Module, weights: dict[str, Tensor], name: str) -> None:
    if isinstance(model, ViT) and any("patch_embed.proj" in key for key in weights):
        weights = from_timm_vit(weights)
    elif isinstance(model, ViT) and any("patch_embeddings" in key for key in weights):
        weights = from_transformers_vit(weights)
    elif isinstance(model, GPT) and any(key.endswith("wte.weight") for key in weights):
        weights = from_transformers_gpt2(weights)
    own = model.state_dict()
    fitting = {k: v for k, v in weights.items() if k in own and own[k].shape == v.shape}
    new = [k for k in own if k not in fitting]
    if 2 * len(fitting) < len(own):
        raise UserError(
            f"model.pretrained={name} has weights of another model: of {len(own)} only "
            f"{len(fitting)} fit by name and shape; give the model the sizes that they have."
        )
    model.load_state_dict({k: v.float() for k, v in fitting.items()}, strict=False)
    if new:
        more = " ..." if len(new) > 4 else ""
        say(f"{len(fitting)} weights from {name}; made anew: {', '.join(new[:4])}{more}")
