"""`best.yaml`: the overrides of the best run, which `experiment=best_of` reads."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from arclight.config.best_of import key_of
from arclight.config.compose import (
    chosen_options,
    composed,
    freeze_as_composed,
    hydra_ready,
)
from arclight.config.file_overrides import is_plain
from arclight.config.freeze import flatten
from arclight.config.layout import COMMAND_KEYS
from arclight.config.typed import as_typed
from arclight.errors import UserError
from arclight.files import write_text
from arclight.masking import READ
from arclight.reading import read_mapping, read_overrides
from arclight.report.metrics import larger_is_better
from arclight.report.results import Result

Config = dict[str, Any]

# Keys that describe the location of a run or its search, not its configuration.
LEFT_OUT = ("name", "runs", "trial", "logger.wandb.group")


def write_best(target: Path, title: str, words: Sequence[str]) -> Path:
    """Writes `best.yaml`, with a comment that explains it and shows the command."""
    head = f"# {title}\n# python train.py experiment=best_of path={target}\n"
    write_text(target, head + yaml.safe_dump({"overrides": list(words)}, sort_keys=False))
    return target


def write_best_run(results: Sequence[Result], target: Path) -> Path:
    """Writes the `best.yaml` of the best finished run, by the metric that selects checkpoints.

    Raises:
        UserError: no finished run has that metric, or the runs use different metrics.
    """
    names = {result.monitor for result in results}
    if len(names) > 1:
        raise UserError(
            f"These runs select checkpoints by different metrics ({', '.join(sorted(names))}); "
            'choose some of them with where="...".'
        )
    name = names.pop() if names else ""
    having = [result for result in results if name in result.metrics]
    if not having:
        raise UserError(f"None of these runs has the metric {name}, so there is no best run.")
    sign = -1 if larger_is_better(name, having) else 1
    best = min(having, key=lambda result: sign * result.metrics[name])
    config, typed = read_mapping(best.path / "config.yaml"), read_overrides(best.path)
    title = f"{best.path}: {name} {best.metrics[name]:.5g}, the best of {len(having)} runs."
    return write_best(target, title, words_of(config, typed))


def words_of(config: Config, typed: Sequence[str], without: Sequence[str] = ()) -> list[str]:
    """The overrides that compose this frozen config, without the search that created it.

    They are the options of the config groups, the given overrides, and the keys whose values still
    differ.

    Args:
        config: a frozen config.
        typed: the overrides that created it, perhaps with those of a search.
        without: keys to leave at their defaults.
    """
    # Overrides that a file may not contain are replaced by the difference. The last override of a
    # key counts.
    last = {key_of(word): word for word in typed if is_plain(word) or key_of(word) == "search"}
    kept = {k: w for k, w in last.items() if k.split(".")[0] not in (*COMMAND_KEYS, "hydra")}
    with hydra_ready():
        chosen = _choices([*kept.values(), *([last["search"]] if "search" in last else [])])
        usual = _choices([])
        words = {
            group: f"{group}={'null' if option is None else option}"
            for group, option in chosen.items()
            if (option != usual.get(group) or group in last) and group != "search"
        }
        there = _keys(composed(list(words.values())))
        # Keys that only the search's own file has are replaced by the difference too.
        words |= {k: w for k, w in kept.items() if k not in chosen and (w[0] in "+~" or k in there)}
        plain = composed(list(words.values()))
        words |= {key_of(word): word for word in _different(freeze_as_composed(plain), config)}
    left_out = (*LEFT_OUT, *without)
    return [w for key, w in words.items() if not any(p in left_out for p in _prefixes(key))]


def _choices(words: Sequence[str]) -> dict[str, str | None]:
    """The options of the config groups that these overrides select."""
    try:
        hydra = composed(words).hydra
    except HydraException as error:
        message = f"The overrides of the best run no longer compose a config: {error}"
        raise UserError(message) from error
    return chosen_options(hydra)


def _keys(cfg: DictConfig) -> set[str]:
    """Every key of a composed config, including those of nodes."""
    content = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(content, dict)
    leaves = flatten({str(key): value for key, value in content.items()})
    return {prefix for key, _ in leaves for prefix in _prefixes(key)}


def _different(plain: Config, config: Config) -> Iterator[str]:
    before, after = dict(flatten(plain)), dict(flatten(config))
    for key, value in after.items():
        if not READ.search(str(value)) and (key not in before or before[key] != value):
            yield f"{'' if key in before else '++'}{key}={as_typed(value)}"
    there = {prefix for key in after for prefix in _prefixes(key)}
    for key in before:
        gone = [prefix for prefix in _prefixes(key) if prefix not in there]
        if gone:
            yield f"~{gone[0]}"


def _prefixes(key: str) -> list[str]:
    """`a`, `a.b` and `a.b.c` for the key `a.b.c`."""
    parts = key.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]
