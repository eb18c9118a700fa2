"""Weights that others have trained: from the Hugging Face hub or a local folder."""

from pathlib import Path
from typing import Any

import torch

from arclight.errors import UserError


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
    place = str(folder) if folder.is_dir() else name
    try:
        return kind.from_pretrained(
            place,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,
            **options,
        )
    except (OSError, ValueError) as error:
        words = " ".join(str(error).split())[:200]
        raise UserError(
            f"model.pretrained={name} cannot be loaded as a {kind.__name__} ({words}): name a "
            "local folder with config.json and model.safetensors, or a hub id within reach."
        ) from error
