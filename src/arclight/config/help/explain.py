"""`explain=KEY`: show each place that sets a value."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from omegaconf import DictConfig

from arclight.config.freeze import flatten, plain
from arclight.config.help.origin import Link, Origins
from arclight.config.suggest import key_meant
from arclight.config.typed import shown
from arclight.errors import UserError
from arclight.masking import is_secret, masked, masked_overrides

_TAKEN_FROM = re.compile(r"\$\{(?P<key>\.*\w[\w.]*)\}")


def explain(cfg: DictConfig, path: str, overrides: Sequence[str]) -> str:
    """Describes the value of a key and, below it, each place that sets it; the last one wins.

    Follows interpolations. For a group or a mapping, each key gets one line.

    Args:
        cfg: the composed config.
        path: the key, such as `trainer.max_epochs`.
        overrides: the overrides of the command line.

    Raises:
        UserError: the config has no such key.
    """
    origins = Origins(overrides)
    config = _resolved(cfg)
    found, value = True, cast(Any, config)
    for part in path.split("."):
        found = found and isinstance(value, dict) and part in value
        value = value[part] if found else None
    if not found and path not in origins.choices:
        keys = [*(key for key, _ in flatten(config)), *config]
        raise UserError(f"{path} is not a key of the config{key_meant(path, keys)}")
    lines = []
    if path in origins.choices:
        lines.append(f"{path}={shown(origins.choices[path])} is the option")
        if because := origins.chosen(path):
            lines[0] += f": {because}"
    if isinstance(value, dict) and value:
        for key, one in flatten(value, f"{path}."):
            link = origins.last(key)
            lines.append(f"  {_assigned(key, one)}    {_place(link)}" if link else f"  {key}")
        return "\n".join(lines)
    if found:
        lines += _links(path, origins, config, ())
    return "\n".join(lines)


def _links(
    path: str, origins: Origins, config: Mapping[str, Any], before: tuple[str, ...]
) -> Iterator[str]:
    """A key's value, the places that set it, and those of the key that it is interpolated from."""
    indent = "  " * len(before)
    links = origins.links(path)
    yield indent + _assigned(path, dict(flatten(dict(config))).get(path))
    width = max((len(_text(path, link)) for link in links), default=0)
    for link in links:
        yield f"{indent}  {_text(path, link):<{width}}  {_place(link)}"
    if not links:
        yield f"{indent}  (set by the command)"
    for match in _TAKEN_FROM.finditer(links[-1].text if links else ""):
        source = _absolute(match["key"], path)
        if source not in (*before, path):
            yield from _links(source, origins, config, (*before, path))


def _absolute(key: str, path: str) -> str:
    """Resolves a relative key: one dot means the mapping that contains the path."""
    dots = len(key) - len(key.lstrip("."))
    above = path.split(".")[:-dots] if dots else []
    return ".".join([*above, key.lstrip(".")])


def _resolved(cfg: DictConfig) -> dict[str, Any]:
    try:
        return plain(cfg, resolve=True)
    except Exception:  # an interpolation fails, which the check reports
        return plain(cfg)


def _assigned(path: str, value: Any) -> str:
    return masked(f"{path} = {shown(value)}")


def _text(path: str, link: Link) -> str:
    if is_secret(path.rpartition(".")[2], link.text):
        return "<a secret>"
    text = masked(link.text)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _place(link: Link) -> str:
    if link.file is None:
        return f"typed: {masked_overrides([link.override])[0]}"
    return f"{link.where}{f', {link.because}' if link.because else ''}"
