"""The example beside an export: a script that predicts on new inputs without this project."""

import json
from pathlib import Path

from arclight.tasks.task import Task
from arclight.tasks.usage import HubUsage, Usage
from arclight.use.trained import Trained

PROGRAMS = {
    "onnx": (
        ("onnxruntime", "numpy"),
        ("import onnxruntime",),
        """session = onnxruntime.InferenceSession(Path(__file__).with_name({name}))
known = session.get_modelmeta().custom_metadata_map  # how inputs are prepared, names of classes
names = {{one.name for one in session.get_inputs()}}


def model(**inputs):
    return session.run(None, {{name: inputs[name] for name in names}})
""",
    ),
    "torch_export": (
        ("torch", "numpy"),
        ("import torch",),
        """carried = {{"metadata.json": ""}}  # how inputs are prepared, names of classes
program = torch.export.load(Path(__file__).with_name({name}), extra_files=carried).module()
known = json.loads(carried["metadata.json"])


def model(**inputs):
    with torch.inference_mode():
        found = program(*map(torch.from_numpy, inputs.values()))
    return [part.numpy() for part in (found if isinstance(found, (tuple, list)) else (found,))]
""",
    ),
}
"""By format: packages, imports, and code that opens the file."""

FOLDER = "FOLDER = Path(__file__).resolve().parent\n"


def usage_of(one: Trained, format: str) -> Usage | None:
    """The example of an export in this format; None for weights that other runs start from."""
    if format == "safetensors":
        return None
    if isinstance(one.task, Task):
        try:
            how = one.task.hub_usage if format == "hf" else one.task.usage
            return how(one.run.path, one.config)
        except NotImplementedError:
            pass
    return None if format == "hf" else _of_arrays(one)


def _of_arrays(one: Trained) -> Usage:
    inputs = one.inputs(1)
    told = []
    for name, value in inputs.items():
        sizes = ", ".join(map(str, ("batch", *value.shape[1:])))
        told.append(f"{name} {str(value.dtype).removeprefix('torch.')} ({sizes})")
    return Usage(
        asks="ARRAYS.npz",
        code=f"""
# The file of numpy.savez has: {", ".join(told)}
inputs = np.load(sys.argv[1])
for output in model(**{{name: inputs[name] for name in {json.dumps(list(inputs))}}}):
    print(json.dumps(output.tolist()))
""",
    )


def example(usage: Usage, format: str, place: Path, script: str) -> str:
    """The script's text.

    Args:
        usage: the example of the task.
        format: of the export.
        place: the exported file or folder.
        script: the script's name.
    """
    packages: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    if isinstance(usage, HubUsage):
        packages, opened = (usage.library,), FOLDER
    else:
        packages, imports, opened = PROGRAMS[format]
        opened = opened.format(name=json.dumps(place.name))
    needs = " ".join(dict.fromkeys([*packages, *usage.packages]))
    lines = [
        f'"""Use the model: python {script} {usage.asks}',
        "",
        f"Needs: pip install {needs}",
        '"""',
        "",
        "import json",
        "import sys",
        "from pathlib import Path",
        "",
        *(["import numpy as np"] if "np." in usage.code else []),
        *sorted({*imports, *usage.imports}, key=_as_sorted),
        "",
    ]
    lines += ["if len(sys.argv) == 1:", "    sys.exit(__doc__)", ""]
    code = usage.code.strip()
    gap = 1 if isinstance(usage, HubUsage) and not code.startswith("def ") else 2
    return "\n".join([*lines, opened.rstrip(), *[""] * gap, code, ""])


def _as_sorted(line: str) -> tuple[bool, str]:
    return line.startswith("from"), line
