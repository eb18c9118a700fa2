"""Keep `${oc.env:NAME}` in the frozen config, instead of the variable's value."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from omegaconf import OmegaConf
from omegaconf.resolvers import oc

from arclight.config.layout import ROOT
from arclight.masking import from_secret, from_variable, is_secret

_OPEN, _CLOSE = "\ue000", "\ue001"  # private-use characters, which no text contains
_MARKED = re.compile(f"{_OPEN}(\\w+){_CLOSE}")

RESOLVED = (*ROOT, "trainer", "optimizer", "scheduler", "finetune")
"""Keys that have no secrets and are read before anything is built: they get the value itself."""


@contextmanager
def marked() -> Iterator[None]:
    """Makes variables resolve to marks within the block; `hidden` replaces the marks later."""

    def env(key: str, *default: Any) -> Any:
        return f"{_OPEN}{key}{_CLOSE}" if key in os.environ else oc.env(key, *default)

    def decode(expr: Any, _parent_: Any, _node_: Any) -> Any:
        found = _MARKED.fullmatch(expr) if isinstance(expr, str) else None
        if found is None:
            return oc.decode(expr, _parent_, _node_)
        value = oc.decode(os.environ[found[1]], _parent_, _node_)
        return expr if isinstance(value, str) else value

    OmegaConf.register_new_resolver("oc.env", env, replace=True)
    OmegaConf.register_new_resolver("oc.decode", decode, replace=True)
    try:
        yield
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)
        OmegaConf.register_new_resolver("oc.decode", oc.decode, replace=True)


def hidden(node: Any, path: str = "") -> Any:
    """Returns the config without the values of variables and secrets."""
    if isinstance(node, dict):
        return {k: hidden(v, f"{path}.{k}".lstrip(".")) for k, v in node.items()}
    if isinstance(node, list):
        return [hidden(v, path) for v in node]
    if not isinstance(node, str):
        return node
    key = path.rpartition(".")[2]
    if is_secret(key, node) and not _MARKED.search(node):
        return from_secret(path, node)
    if path.split(".")[0] in RESOLVED and not is_secret(key, _MARKED.sub("x", node)):
        return _MARKED.sub(lambda found: os.environ[found[1]], node)
    return _MARKED.sub(lambda found: from_variable(found[1]), node)
