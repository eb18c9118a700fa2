"""Check a config against the signatures of what it builds; all faults are reported at once."""

import ast
import difflib
from collections.abc import Iterator
from typing import Any

from arclight.config.signature import UnknownTargetError, fits, in_words, parameters
from arclight.errors import UserError

Config = dict[str, Any]

# What the runner gives each part when it builds it; a config need not (and a null there is filled).
GIVEN_AT_RUN_TIME = {
    "model": {
        *("num_classes", "in_channels", "image_size"),
        *("vocab_size", "context", "pad", "start", "end"),
    },
    "task": {"model", "facts", "optimizer", "schedule"},
    "finetune": {"model"},
    "optimizer": {"model", "fused"},
    "scheduler": {"optimizer", "total_steps", "steps_per_epoch"},
    "trainer": {"run_dir", "callbacks", "loggers", "deterministic"},
    "logger": {"run_dir", "run_id", "name", "say"},
    "callbacks": {"folder", "run_id", "say"},
}

# What the runner itself makes use of, beside what is built.
USED_BY_RUNNER = {"model.pretrained": "str | None"}

# The types of the keys that stand alone, in the language of annotations.
ROOT = {
    "name": "str",
    "seed": "int",
    "compile": 'bool | Literal["whole", "blocks", "max-autotune", "cudagraphs"]',
    "deterministic": "bool",
    "preflight": 'bool | Literal["only"]',
    "on_nonfinite": 'Literal["stop", "skip"]',
    "runs": "str",
}


def check(config: Config) -> None:
    """Raises `UserError` with one line for each fault of the config."""
    faults = [*_missing(config, ""), *_of_the_root(config), *_faults(config, "")]
    if faults:
        raise UserError("\n".join(faults))


def _of_the_root(config: Config) -> Iterator[str]:
    for key, annotation in ROOT.items():
        expected = ast.parse(annotation, mode="eval").body
        if key in config and not fits(config[key], expected):
            yield f"{key}={config[key]} should be {in_words(expected)}."


def _missing(node: Any, path: str) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _missing(value, f"{path}.{key}".lstrip("."))
    elif node == "???":
        yield f"{path} must be given: type {path}=VALUE."


def _faults(node: Config, path: str) -> Iterator[str]:
    if "_target_" in node:
        yield from _against_signature(node, path)
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _faults(value, f"{path}.{key}".lstrip("."))


def _against_signature(node: Config, path: str) -> Iterator[str]:
    target = node["_target_"]
    try:
        known = parameters(target)
    except UnknownTargetError as error:
        yield f"{path}._target_={error}"
        return
    given_later = GIVEN_AT_RUN_TIME.get(path.split(".")[0], set())
    for key, value in node.items():
        if key == "_target_":
            continue
        if f"{path}.{key}" in USED_BY_RUNNER:
            expected = ast.parse(USED_BY_RUNNER[f"{path}.{key}"], mode="eval").body
            if not fits(value, expected):
                yield f"{path}.{key}={value} should be {in_words(expected)}."
        elif key not in known:
            yield (
                f"{path}.{key} is unknown to {target.rpartition('.')[2]}"
                f"{did_you_mean(key, [k for k in known if k not in given_later], f'{path}.')}"
            )
        elif value is None and key in given_later:
            continue
        elif value != "???" and not fits(value, known[key].annotation):
            yield f"{path}.{key}={value} should be {in_words(known[key].annotation)}."
    for name, parameter in known.items():
        if parameter.required and name not in node and name not in given_later:
            yield f"{path}.{name} must be given: type +{path}.{name}=VALUE."


def did_you_mean(word: str, choices: list[str], prefix: str = "") -> str:
    """The end of a sentence about an unknown word: the nearest choice, or all of them."""
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    if close:
        return f": did you mean {prefix}{close[0]}?"
    return f": it knows {', '.join(sorted(choices))}."
