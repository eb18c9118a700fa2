"""Suggestions at the cursor of a command line: keys, choices of groups, runs and files."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from arclight.config.best_of import expand, key_of
from arclight.config.compose import chosen_options
from arclight.config.options import options
from arclight.config.overrides import quoted
from arclight.config.project import PROJECT
from arclight.errors import UserError

RUNS = ("run", "resume", "model.pretrained")
"""Keys of run directories."""

PLACES = (*("path", "pretrained", "resume", "run", "run_dir", "runs", "dir"), "folder", "file")
"""Last parts of keys of the config whose values are paths."""

_WEIGHTS = (".ckpt", ".pt", ".pth", ".safetensors", ".bin", ".th")


def offers(
    words: Sequence[str], word: str, keys: Sequence[str], configs: Sequence[str]
) -> list[str]:
    """The suggestions that begin with the typed text.

    Args:
        words: the words before the cursor.
        word: the typed part of the word at the cursor.
        keys: the script's own keys.
        configs: the names of the configs whose overrides are accepted.
    """
    key, equals, value = word.partition("=")
    if equals:
        given = f"{key}="
        found = [f"{given}{one}" for one in _values(words, key_of(key), value, keys, configs)]
    else:
        found = [f"{own}=" for own in keys]
        found += [offer for config in configs for offer in _keys(words, word, config)]
    return sorted({one for one in found if one.startswith(word)})


def _values(
    words: Sequence[str], key: str, value: str, keys: Sequence[str], configs: Sequence[str]
) -> Iterator[str]:
    if key in RUNS:
        yield from _runs(value, _folder_of_runs(words), weights=key == "model.pretrained")
        if key == "resume":
            yield "auto"
        return
    if configs and (names := options(key)):
        listed, comma, _ = value.rpartition(",")  # a multirun has several values
        if set(filter(None, listed.split(","))) <= set(names):
            yield from (f"{listed}{comma}{name}" for name in names)
        return
    typed_as_path = value.startswith((".", "/", "~"))
    if key in keys or key.rpartition(".")[2] in PLACES or typed_as_path:
        yield from (place for place, _ in _inside(value))
    for config in configs if not value else ():
        cfg = _composed(words, config)
        node = OmegaConf.select(cfg, key) if cfg is not None else None
        if node is not None and not OmegaConf.is_config(node):
            yield str(node).lower() if isinstance(node, bool) else str(node)


# ------------------------------------------------------------------------------------- keys


def _keys(words: Sequence[str], word: str, config: str) -> Iterator[str]:
    """Keys of the config, one level at a time, and its groups."""
    sign = word[: len(word) - len(word.lstrip("+~"))]
    before, dot, _ = word[len(sign) :].rpartition(".")
    cfg = _composed(words, config)
    if cfg is None:
        return
    if not dot:
        yield from (f"{sign}{group}=" for group in _groups(cfg))
    node = OmegaConf.select(cfg, before) if before else cfg
    if not isinstance(node, DictConfig):
        return
    for key, value in node.items_ex(resolve=False):
        if key != "hydra":
            yield f"{sign}{before}{dot}{key!s}{'.' if OmegaConf.is_dict(value) else '='}"


def _groups(cfg: DictConfig) -> list[str]:
    return [group for group in chosen_options(cfg.hydra) if options(group)]


def _composed(words: Sequence[str], config: str) -> DictConfig | None:
    """The config composed from the words, else only from choices of groups, else from none."""
    typed = [w for w in words if not w.startswith("-") and "=" in w]
    choices = [w for w in typed if w.partition("=")[2] in options(key_of(w))]
    with initialize_config_dir(str(PROJECT / "configs"), version_base="1.3"):
        for tried in (typed, choices, [w for w in choices if key_of(w) == config], []):
            try:
                overrides = quoted(expand(tried))
                return compose(config, overrides=overrides, return_hydra_config=True)
            except (HydraException, OmegaConfBaseException, UserError):
                continue
    return None


# ------------------------------------------------------------------------------------ paths


def _folder_of_runs(words: Sequence[str]) -> str:
    named = [word.partition("=")[2] for word in words if word.startswith("runs=")]
    return named[-1] if named else "runs"


def _runs(value: str, root: str, weights: bool) -> Iterator[str]:
    """Run directories, and folders that may contain some; with `weights`, also files of weights."""
    for place, path in _inside(value or f"{root}/"):
        if path.is_dir():
            is_run = (path / "summary.json").is_file() and (path / "config.yaml").is_file()
            yield place.rstrip("/") if is_run else place
        elif weights and path.suffix.lower() in _WEIGHTS:
            yield place


def _inside(value: str) -> Iterator[tuple[str, Path]]:
    """The paths that begin with the typed text; folders end with a slash."""
    name = value.rpartition("/")[2]
    shown = value[: len(value) - len(name)]
    folder = Path(os.path.expanduser(shown or "."))
    if not folder.is_dir():
        return
    with os.scandir(folder) as found:
        for entry in found:
            if entry.name.startswith(name) and (name.startswith(".") or entry.name[0] != "."):
                slash = "/" if entry.is_dir() else ""
                yield f"{shown}{entry.name}{slash}", folder / entry.name
