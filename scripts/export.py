"""Exports a run's model: python scripts/export.py run=DIR format=safetensors|onnx|torch_export|hf

Keys: run (the directory), format (safetensors: weights for model.pretrained=FILE; onnx and
torch_export: programs for batches of any size; hf: a folder that transformers or timm opens),
output (a new file or folder; default: in the run directory), merge (default true: LoRA's matrices
are merged into the weights; false: they stay separate, only with safetensors), checkpoint (a file;
default: the best), license (for the model card; default: that of configs/export.yaml), push (with
format=hf: ORG/NAME on the Hugging Face hub to upload the folder to), private (whether a new
repository is private; default: that of configs/export.yaml). The export is loaded again and
compared with the run before it gets its name. A script that uses it without this project
(example.py) and a model card (README.md) are beside it, or in the folder.
"""

from pathlib import Path

import yaml

from arclight.config.arguments import arguments
from arclight.config.entry import plain_errors
from arclight.errors import UserError

CONFIGS = Path(__file__).parents[1] / "configs"


def main() -> None:
    optional = ("output", "merge", "checkpoint", "license", "push", "private")
    given = arguments(__doc__, ("run", "format"), optional)
    settings = yaml.safe_load((CONFIGS / "export.yaml").read_text())
    merge = _truth(given.pop("merge", "true"), "merge")
    private = _truth(given.pop("private", settings["private"]), "private")
    license = given.pop("license", settings["license"])
    from arclight.use.export import export

    export(**given, merge=merge, private=private, license=license)


def _truth(value: object, key: str) -> bool:
    if str(value).lower() not in ("true", "false"):
        raise UserError(f"{key}={value} should be true or false.")
    return str(value).lower() == "true"


if __name__ == "__main__":
    with plain_errors():
        main()
