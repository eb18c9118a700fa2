"""Hand a run's model on: python scripts/export.py run=DIR format=safetensors|onnx|torch_export|hf

Keys: run (the directory), format (safetensors: weights for model.pretrained=FILE; onnx and
torch_export: a program for batches of any size; hf: a folder that transformers or timm opens),
output (a new file or folder; default: in the run directory), merge (default true: LoRA's matrices
are put into the weights; false: they stay apart, with safetensors only), checkpoint (a file;
default: the best). It is loaded back and compared with the run before it has its name.
"""

from arclight.config.arguments import arguments
from arclight.config.entry import plain_errors
from arclight.errors import UserError


def main() -> None:
    given = arguments(__doc__, ("run", "format"), ("output", "merge", "checkpoint"))
    merge = given.pop("merge", "true")
    if merge not in ("true", "false"):
        raise UserError(f"merge={merge} should be true or false.")
    from arclight.use.export import export

    export(**given, merge=merge == "true")


if __name__ == "__main__":
    with plain_errors():
        main()
