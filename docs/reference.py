"""Pages that are made of the code: the configuration by group, and the public names."""

import ast
import importlib
import inspect
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

from arclight.config.help.formats import markdown
from arclight.config.help.schema import schemas

PROJECT = Path(__file__).parents[1]
CONFIGS = PROJECT / "configs"
ENGINE = PROJECT / "src" / "arclight"

Schema = dict[str, Any]

HEAD = """# Configuration

Every key of the config, from the files in `configs/` and the annotations of what they build.
`python train.py --help` lists the options; `explain=KEY` shows where a value came from;
`check=only` reports every fault. Any key may also be an interpolation, `${...}`.
"""


def configuration() -> str:
    """A page of all config groups: their options, and the keys of each."""
    found = schemas()
    parts = [HEAD, "## train.yaml", _table(found["train"], found["train"]["properties"])]
    for group, schema in found.items():
        if group == "train":
            continue
        parts += [f"## {group}", _options(group)]
        node = schema["definitions"].get("node") if "definitions" in schema else None
        if node:
            parts.append(_table(schema, node["properties"]))
    return "\n\n".join(part for part in parts if part) + "\n"


def _options(group: str) -> str:
    files = sorted(f for f in (CONFIGS / group).glob("*.yaml") if f.stem[0] != "_")
    rows = [f"| `{group}={file.stem}` | {_first_sentence(file)} |" for file in files]
    return "\n".join(["| option | |", "|---|---|", *rows])


def _first_sentence(file: Path) -> str:
    """Of the comment that a config begins with."""
    comments = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @"):
            comments.append(line.lstrip("# "))
    text = " ".join(comments).partition(" Command: ")[0]
    end = text.find(". ")
    return _cell(text if end < 0 else text[: end + 1])


def _table(schema: Schema, properties: Schema) -> str:
    rows = []
    for key, value in sorted(properties.items()):
        if key.startswith("_") or "group" in str(value.get("$ref", "")):
            continue
        kinds = [_resolved(schema, one) for one in [value, *value.get("anyOf", ())]]
        meaning = next((k["description"] for k in kinds if "description" in k), "")
        words = sorted(set(_words(schema, value)))
        rows.append(f"| `{key}` | {_cell(', '.join(words))} | {_cell(meaning)} |")
    return "\n".join(["| key | value | meaning |", "|---|---|---|", *rows]) if rows else ""


def _resolved(schema: Schema, one: Schema) -> Schema:
    name = str(one.get("$ref", "")).removeprefix("#/definitions/")
    found: Schema = schema["definitions"].get(name, one)
    return found


def _words(schema: Schema, kind: Schema) -> Iterator[str]:
    """What a value may be, such as `number of 0 or more` and `null`."""
    if kind.get("$ref") in ("#/definitions/anything", "#/definitions/taken"):
        return
    if "$ref" in kind:
        kind = _resolved(schema, kind)
    for one in kind.get("anyOf", ()):
        yield from _words(schema, one)
    for value in kind.get("enum", ()):
        yield json.dumps(value).strip('"')
    if "const" in kind:
        yield json.dumps(kind["const"]).strip('"')
    if "enum" in kind or "type" not in kind:
        return
    limits = [
        f"{words} {kind[key]:.12g}"
        for key, words in (
            ("minimum", "from"),
            ("exclusiveMinimum", "above"),
            ("maximum", "to"),
            ("exclusiveMaximum", "below"),
        )
        if key in kind
    ]
    types = kind["type"] if isinstance(kind["type"], list) else [kind["type"]]
    for name in types:
        yield " ".join([name, *limits]) if name in ("number", "integer") else name


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


FORMATS = """# Data formats

What your files should look like, for each `data=` that reads files of yours. `python train.py
data=NAME --help` shows the same. Made by `make docs` from the comments in `configs/data/`.
"""


def data_formats() -> str:
    """A page of the files that each kind of data reads, with a short sample of each."""
    return f"{FORMATS}\n{markdown().strip()}\n"


API = """# Python API

Everything that a project may import: the names in `__all__` of `arclight` and of its public
modules. What is not here may change without notice.
"""


def api() -> str:
    """A page of the public names, those of `arclight` itself first."""
    door = importlib.import_module("arclight")
    parts = [API, "## arclight"]
    parts += [_directive(getattr(door, name), name, "arclight") for name in sorted(door.__all__)]
    for module in public_modules():
        found = importlib.import_module(module)
        described = (inspect.getdoc(found) or "").partition("\n\n")[0]
        parts += [f"## {module}", described]
        parts += [_directive(getattr(found, name), name, module) for name in sorted(found.__all__)]
    return "\n\n".join(parts) + "\n"


def public_modules() -> list[str]:
    """The modules of the engine, other than `arclight` itself, that export names."""
    found = []
    for file in sorted(ENGINE.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        names = [t for n in tree.body if isinstance(n, ast.Assign) for t in n.targets]
        if file != ENGINE / "__init__.py" and any(
            isinstance(n, ast.Name) and n.id == "__all__" for n in names
        ):
            parts = file.relative_to(ENGINE.parent).with_suffix("").parts
            found.append(".".join(p for p in parts if p != "__init__"))
    return found


def _directive(value: Any, name: str, module: str) -> str:
    """What autodoc documents: in full in its own module, in a line where it is passed on.

    Raises:
        ValueError: the name has no description.
    """
    home = getattr(value, "__module__", module)
    if inspect.isclass(value) or inspect.isfunction(value):
        if not inspect.getdoc(value):
            raise ValueError(f"{home}.{name} has no docstring")
        if module != "arclight" and home != module:
            return f"`{name}`: see `{home}`."
        if module != "arclight" and name in importlib.import_module("arclight").__all__:
            return f"`{name}`: see `arclight`."
        kind = "autoclass" if inspect.isclass(value) else "autofunction"
        members = "\n:members:\n:show-inheritance:" if kind == "autoclass" else ""
        if others := [c.__name__ for c in getattr(value, "__mro__", ()) if not _is_ours(c)]:
            members += f"\n:inherited-members: {', '.join(others)}"  # leaves these bases out
        return f"```{{eval-rst}}\n.. {kind}:: {home}.{value.__qualname__}{_indented(members)}\n```"
    words = [one.words for one in get_args(value) if hasattr(one, "words")]  # a range
    described = words[0] if words else _text(module, name)
    if described is None:
        raise ValueError(f"{module}.{name} has no text behind it")
    return f"`{name}`: {' '.join(described.split())}"


def _is_ours(value: type) -> bool:
    return value.__module__.partition(".")[0] == "arclight"


def _text(module: str, name: str) -> str | None:
    """The text behind a name, in this module or in the one that it is imported from."""
    body = ast.parse(inspect.getsource(importlib.import_module(module))).body
    for node, after in pairwise(body):
        if (
            isinstance(node, ast.Assign)
            and isinstance(after, ast.Expr)
            and name in map(ast.unparse, node.targets)
        ):
            return str(ast.literal_eval(after.value))
    for node in body:
        if isinstance(node, ast.ImportFrom) and name in [one.name for one in node.names]:
            return _text(str(node.module), name)
    return None


def _indented(text: str) -> str:
    return text.replace("\n", "\n   ")
