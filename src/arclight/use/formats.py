"""Formats of exported models: each one is written, and loaded again to compare its outputs."""

import importlib
import importlib.util
import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from arclight.errors import UserError
from arclight.models.frozen import has_adapters
from arclight.models.pretrained import ARCHITECTURE
from arclight.run.assembly import build_task
from arclight.run.panels import network_of
from arclight.run.weights import sizes
from arclight.tasks.task import Answer, Task
from arclight.training.finetune import merge_adapters
from arclight.use.trained import Trained

METADATA = "metadata.json"
BATCH = "batch"
TRACED, ASKED = 2, 3
"""Batch sizes: of the inputs that a program is traced with, and of those that verify it."""


Carried = dict[str, Any]
"""Values that a program stores for its example, see `arclight.tasks.usage.Usage`."""


def write(
    one: Trained, format: str, place: Path, merge: bool, carried: Carried
) -> tuple[float, float]:
    """Writes the run's model to `place`, loads it again, and compares the outputs.

    Returns:
        The largest difference from the run's own outputs, and the largest of these outputs.

    Raises:
        UserError: the model does not support the format.
    """
    asked = one.inputs(ASKED, seed=1)
    with torch.inference_mode():
        wanted = outputs(one.model(*asked.values()))
    if merge and has_adapters(one.model):
        merge_adapters(one.model)
    try:
        answer = FORMATS[format](one, place, merge, carried)
    except UserError:
        raise
    except Exception as error:  # unsupported operations raise many error types
        words = " ".join(str(error).split())[:300]
        raise UserError(
            f"{type(one.model).__name__} cannot be written as {format} "
            f"({type(error).__name__}: {words}); type another format."
        ) from error
    with torch.inference_mode():
        given = answer(asked)
    pairs = list(zip(wanted, given, strict=True))
    difference = max(float((a - b).abs().max()) for a, b in pairs)
    return difference, max(float(a.abs().max()) for a in wanted)


def outputs(of_model: Any) -> list[Tensor]:
    """The outputs of a model as a list of float tensors."""
    parts = of_model if isinstance(of_model, tuple | list) else [of_model]
    return [torch.as_tensor(part).float() for part in parts]


def as_safetensors(one: Trained, place: Path, merge: bool, carried: Carried) -> Answer:
    """Weights under the model's own names; shared weights are stored once."""
    save_file(untied(one.model), place, metadata(one))
    if not merge and has_adapters(one.model):
        with torch.no_grad():
            for parameter in one.model.parameters():
                parameter.zero_()
        one.model.load_state_dict(load_file(place), strict=False)
        return lambda inputs: outputs(one.model(*inputs.values()))

    again = _made_again(one, place).eval()
    return lambda inputs: outputs(again(*inputs.values()))


def _made_again(one: Trained, place: Path) -> nn.Module:
    """The run's model with the file's weights."""
    config = {**one.config, "finetune": {}}
    if "model" not in config:  # a module that makes its own network
        task = build_task(config, one.facts)
        task.load_state_dict(load_file(place), strict=False)
        return network_of(task)
    config["model"] = {**config["model"], "pretrained": str(place)}
    return network_of(build_task(config, one.facts))


def untied(model: nn.Module) -> dict[str, Tensor]:
    """The state dict with each tensor under only one of its names, as safetensors requires."""
    kept: dict[str, Tensor] = {}
    seen: set[tuple[int, torch.Size]] = set()
    for name, value in model.state_dict().items():
        key = value.data_ptr(), value.shape
        if key not in seen or not value.numel():
            kept[name] = value.contiguous()
        seen.add(key)
    return kept


def metadata(one: Trained, more: Carried | None = None) -> dict[str, str]:
    """The metadata of a weights file: the facts of the training data, and `more`."""
    known: dict[str, Any] = {"task": one.config["task"]["_target_"].rpartition(".")[2]}
    known |= one.facts.for_export() | (more or {})
    net = getattr(one.model, "net", None)
    with sizes(one.run.path) as folder:
        if net is not None and folder:
            known[ARCHITECTURE] = net.config.to_json_string(use_diff=False)
    plain = {key: v if isinstance(v, str) else json.dumps(v) for key, v in known.items()}
    return {"format": "pt", "arclight": version("arclight"), **plain}


def as_torch_export(one: Trained, place: Path, merge: bool, carried: Carried) -> Answer:
    """A program of torch, which needs neither this project nor the libraries of the model.

    One of its `extra_files`, `metadata.json`, describes the data.
    """
    program, axes = _program(one)
    known = _known(one, axes, carried)
    torch.export.save(program, place, extra_files={METADATA: json.dumps(known)})
    again = torch.export.load(place).module()
    return lambda inputs: outputs(again(*inputs.values()))


def as_onnx(one: Trained, place: Path, merge: bool, carried: Carried) -> Answer:
    """A program for onnxruntime and other engines, with metadata that describe the data."""
    missing = [n for n in ("onnx", "onnxscript", "onnxruntime") if not importlib.util.find_spec(n)]
    if missing:
        raise UserError(f'format=onnx needs {", ".join(missing)}: type pip install -e ".[export]".')
    onnxruntime: Any = importlib.import_module("onnxruntime")
    program, axes = _program(one)
    made = torch.onnx.export(
        program, input_names=list(axes), dynamo=True, verbose=False, dynamic_shapes=_names(axes)
    )
    assert made is not None
    opset = str(made.model.opset_imports[""])
    made.model.metadata_props.update(_known(one, axes, carried) | {"opset": opset})
    made.save(place)
    session = onnxruntime.InferenceSession(place, providers=["CPUExecutionProvider"])

    def answer(inputs: dict[str, Tensor]) -> list[Tensor]:
        known = {one.name for one in session.get_inputs()}  # unused inputs were removed
        given = {name: value.numpy() for name, value in inputs.items() if name in known}
        return outputs(session.run(None, given))

    return answer


Axes = dict[str, dict[int, str]]
"""The axes of variable length by input: their indices and names."""


def _program(one: Trained) -> tuple[Any, Axes]:
    """The model as a graph for batches of any size, and its inputs with such axes."""
    inputs = one.inputs(TRACED)
    more = one.task.dynamic_axes() if isinstance(one.task, Task) else {}
    batch: Axes = {name: {0: BATCH} for name in inputs}
    axes = {name: of_batch | more.get(name, {}) for name, of_batch in batch.items()}
    try:
        return _traced(one.model, inputs, axes), axes
    except Exception:  # operations that need a fixed length raise many error types
        if axes == batch:
            raise
        return _traced(one.model, inputs, batch), batch


def _traced(model: nn.Module, inputs: dict[str, Tensor], axes: Axes) -> Any:
    dims = {BATCH: torch.export.Dim(BATCH)}
    for name, of_input in axes.items():
        for i, axis in of_input.items():
            dims.setdefault(axis, torch.export.Dim(axis, max=inputs[name].shape[i]))
    shapes = tuple({i: dims[axis] for i, axis in of_input.items()} for of_input in axes.values())
    return torch.export.export(model, tuple(inputs.values()), dynamic_shapes=shapes)


def _names(axes: Axes) -> tuple[dict[int, str], ...]:
    """The axes for ONNX, which must name each one only once."""
    known: set[str] = set()
    named = []
    for of_input in axes.values():
        named.append({i: axis for i, axis in of_input.items() if axis not in known})
        known |= set(of_input.values())
    return tuple(named)


def _known(one: Trained, axes: Axes, carried: Carried) -> dict[str, str]:
    """The metadata of a program: its data and its inputs."""
    sizes: dict[str, list[int | str]] = {
        name: list(value.shape) for name, value in one.inputs(TRACED).items()
    }
    for name, of_input in axes.items():
        for i, axis in of_input.items():
            sizes[name][i] = axis
    return metadata(one, {**carried, "input_shapes": sizes})


def as_folder(one: Trained, place: Path, merge: bool, carried: Carried) -> Answer:
    """A folder that transformers or timm opens."""
    if not isinstance(one.task, Task):
        raise UserError(
            f"transformers and timm have no model like {type(one.task).__name__}: type "
            "format=safetensors, onnx or torch_export."
        )
    return one.task.save_hf(place, one.run.path)


FORMATS: dict[str, Callable[[Trained, Path, bool, Carried], Answer]] = {
    "safetensors": as_safetensors,
    "onnx": as_onnx,
    "torch_export": as_torch_export,
    "hf": as_folder,
}
