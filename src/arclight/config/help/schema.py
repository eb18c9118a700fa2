"""Write JSON schemas of the config groups for editors: `python -m arclight.config.help.schema`.

The types of keys come from the annotations of the targets, their descriptions from the comments in
`configs/`, and the classes from the `_target_`s there; nothing is listed here. An editor that reads
`.vscode/settings.json` marks misspelt keys and wrong values while you type; the check of a run
finds the rest.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from arclight.config.help.json_types import json_type
from arclight.config.layout import COMMANDS, ENGINE_KEYS, GIVEN, GROUPS, HYDRA_KEYS, NAMED, ROOT
from arclight.config.project import PROJECT, project
from arclight.config.signatures.aliases import spelled_out
from arclight.config.signatures.signature import Signature, signature

Schema = dict[str, Any]

FOLDER = Path(".schema")
"""The folder in `configs/`; Hydra does not take it for a group."""

_COMMENT = re.compile(r"^(?P<indent>\s*)(?P<key>[\w.-]+):(?P<value>[^#]*?)\s+# (?P<comment>.*)$")
_ANYTHING = {"$ref": "#/definitions/anything"}
_TAKEN = {"$ref": "#/definitions/taken"}


def schemas(configs: Path = PROJECT / "configs") -> dict[str, Schema]:
    """Returns the schema of each group that has files, by name; "train" is that of train.yaml."""
    groups = [group for group in GROUPS if list((configs / group).glob("*.yaml"))]
    found = {group: _of_group(group, configs, groups) for group in groups}
    root = {"type": ["object", "null"], "properties": _of_root(configs, groups)}
    others = sorted(
        folder.name
        for folder in configs.iterdir()
        if folder.is_dir() and folder.name not in groups and list(folder.glob("*.yaml"))
    )
    for name in ("train", *(o for o in others if o not in ("hydra", "paper"))):
        found[name] = {**_head(name), **root, "definitions": _definitions()}
    return found


def _head(name: str) -> Schema:
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": f"configs/{name}",
        "description": "Written by `python -m arclight.config.help.schema`; a test checks that.",
    }


def _definitions() -> Schema:
    """Values that fit any key: interpolations, `???`, and nodes with a `_target_`."""
    return {
        "taken": {"type": "string", "pattern": r"\$\{|^\?\?\?$"},
        "anything": {"anyOf": [_TAKEN, {"type": "object", "required": ["_target_"]}]},
    }


def _of_root(configs: Path, groups: list[str]) -> Schema:
    comments = _comments([configs / "train.yaml"])
    plain = {**ROOT, **COMMANDS}
    keys = {key: _key(json_type(kind), comments.get(key)) for key, kind in plain.items()}
    keys["name"] = _key({"anyOf": [json_type(ROOT["name"]), {"type": "null"}]}, comments["name"])
    return {**keys, **{group: {"$ref": f"{group}.json#/definitions/group"} for group in groups}}


def _of_group(group: str, configs: Path, groups: list[str]) -> Schema:
    files = sorted((configs / group).glob("*.yaml"))
    targets = sorted({target for file in files for target in _targets(file, group)}, key=_own_last)
    node, keys = _node(group, targets, _comments(files))
    several = group in NAMED
    whole = {"type": "object", "additionalProperties": _or_null(node)} if several else node
    file: Schema = {**_head(group), "type": ["object", "null"]}
    if several:
        file["properties"] = {"defaults": {"type": "array"}, group: _GROUP}
        file["additionalProperties"] = _or_null({"$ref": "#/definitions/node"})
    else:
        rooted = {k: v for k, v in _of_root(configs, groups).items() if k != group}
        either = rooted.keys() & node["properties"].keys()  # a file may set the whole config
        both = {k: {"anyOf": [rooted[k], node["properties"][k]]} for k in either}
        others = {"defaults": {"type": "array"}, group: _GROUP}
        file["properties"] = {**rooted, **node["properties"], **both, **others}
        file["allOf"] = node["allOf"]
    return {**file, "definitions": {**_definitions(), **keys, "node": node, "group": whole}}


_GROUP = {"$ref": "#/definitions/group"}


def _own_last(target: str) -> tuple[bool, str]:
    """Sorts shipped targets first, so that their part of a schema is the same in every project."""
    return target.split(".")[0] in project().packages, target


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}, _TAKEN]}


def _node(group: str, targets: list[str], comments: dict[str, str]) -> tuple[Schema, Schema]:
    """Returns the schema of a group's node with the keys of each target, and the keys by name."""
    names: dict[str, list[Schema]] = {}
    each: list[Schema] = []
    for target in targets:
        known = signature(target)
        keys = {}
        for key, schema in _keys(group, known, comments).items():
            kinds = names.setdefault(key, [])
            if schema not in kinds:
                kinds.append(schema)
            keys[key] = _named(key, kinds.index(schema))
        exact: Schema = {"properties": keys}
        if not known.open:  # `defaults` belongs to the file, not to the node
            exact["propertyNames"] = {"enum": sorted({*keys, *HYDRA_KEYS, "defaults"})}
        of_it = {"properties": {"_target_": {"const": target}}, "required": ["_target_"]}
        each.append({"if": of_it, "then": exact})
    any_of = {
        key: {"anyOf": [_named(key, i) for i in range(len(kinds))]} for key, kinds in names.items()
    }
    of_target = {"type": ["string", "null"], "examples": targets}
    node = {"type": "object", "properties": {**any_of, "_target_": of_target}, "allOf": each}
    defined = {f"{k}.{i}": one for k, kinds in names.items() for i, one in enumerate(kinds)}
    return node, defined


def _named(key: str, place: int) -> Schema:
    return {"$ref": f"#/definitions/{key}.{place}"}


def _keys(group: str, known: Signature, comments: dict[str, str]) -> Schema:
    """The schema of each key of a node."""
    keys: Schema = {}
    given = GIVEN.get(group, frozenset())
    for name, parameter in known.parameters.items():
        if name in given and name not in comments:
            continue
        schema = json_type(spelled_out(parameter.annotation, parameter.module))
        if group == "model" or name in given:  # filled in by the run
            schema = {"anyOf": [schema, {"type": "null"}]} if schema else schema
        keys[name] = _key(schema, comments.get(name))
    engines = ENGINE_KEYS.get(group, {})
    for name, kind in engines.items():
        keys.setdefault(name, _key(json_type(kind), comments.get(name)))
    return dict(sorted(keys.items()))


def _key(schema: Schema, comment: str | None) -> Schema:
    described = {"description": comment} if comment else {}
    if not schema:
        return described
    either = schema["anyOf"] if set(schema) == {"anyOf"} else [schema]
    return {**described, "anyOf": [*either, _ANYTHING]}


def _comments(files: list[Path]) -> dict[str, str]:
    """The comment after each key, by the key's name; the first file with a comment wins."""
    found: dict[str, str] = {}
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            if match := _COMMENT.match(line):
                found.setdefault(match["key"], match["comment"])
    return found


def _targets(file: Path, group: str) -> Iterator[str]:
    """The targets in a file of the group, at its top level or under the group's key."""
    content: Any = OmegaConf.to_container(OmegaConf.load(file))
    if not isinstance(content, dict):
        return
    nodes = [content, content.get(group)]
    for node in nodes:
        inner = node.values() if group in NAMED and isinstance(node, dict) else [node]
        for one in inner:
            if isinstance(one, dict) and isinstance(target := one.get("_target_"), str):
                yield target


def written(schema: Schema) -> str:
    """Returns a schema as the text of its file."""
    return json.dumps(schema, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def settings(names: Iterable[str]) -> dict[str, Any]:
    """Returns the part of `.vscode/settings.json` that maps schemas to config files."""
    files = {name: f"configs/{name}{'.yaml' if name == 'train' else '/*.yaml'}" for name in names}
    return {"yaml.schemas": {f"./configs/{FOLDER}/{n}.json": files[n] for n in sorted(files)}}


def main() -> None:
    """Writes the schemas into `configs/.schema`, and their mapping into `.vscode`."""
    folder = PROJECT / "configs" / FOLDER
    folder.mkdir(exist_ok=True)
    found = schemas()
    for file in folder.glob("*.json"):
        if file.stem not in found:
            file.unlink()
    for name, schema in found.items():
        (folder / f"{name}.json").write_text(written(schema), encoding="utf-8")
    editor = PROJECT / ".vscode" / "settings.json"
    editor.parent.mkdir(exist_ok=True)
    before = json.loads(editor.read_text(encoding="utf-8")) if editor.is_file() else {}
    after = json.dumps({**before, **settings(found)}, indent=2) + "\n"
    editor.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    main()
