"""The best run as words to type: `best.yaml`, which `experiment=best_of` reads."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from arclight.config.best_of import key_of
from arclight.config.compose import composed, freeze_as_composed, hydra_ready
from arclight.config.file_overrides import is_plain
from arclight.config.freeze import flatten
from arclight.config.layout import COMMAND_KEYS
from arclight.config.typed import as_typed
from arclight.errors import UserError
from arclight.files import write_text
from arclight.masking import READ
from arclight.reading import read_mapping, read_overrides
from arclight.report.results import Result, larger_is_better

Config = dict[str, Any]

# What says where a run lies and which search it was part of, not what it is.
LEFT_OUT = ("name", "runs", "trial", "logger.wandb.group")


def write_best(target: Path, title: str, words: Sequence[str]) -> Path:
    """`best.yaml` with a comment that says what it is and what to type."""
    head = f"# {title}\n# python train.py experiment=best_of path={target}\n"
    write_text(target, head + yaml.safe_dump({"overrides": list(words)}, sort_keys=False))
    return target


def write_best_run(results: Sequence[Result], target: Path) -> Path:
    """The `best.yaml` of the best finished run, by the figure that chooses its checkpoints.

    Raises:
        UserError: no run has finished with that figure, or they do not agree which it is.
    """
    names = {result.monitor for result in results}
    if len(names) > 1:
        raise UserError(
            f"These runs choose by different figures ({', '.join(sorted(names))}); "
            'take some of them by where="..." and then the best.'
        )
    name = names.pop() if names else ""
    having = [result for result in results if name in result.figures]
    if not having:
        raise UserError(f"None of these runs has measured {name}, so none is the best.")
    sign = -1 if larger_is_better(name, having) else 1
    best = min(having, key=lambda result: sign * result.figures[name])
    config, typed = read_mapping(best.path / "config.yaml"), read_overrides(best.path)
    title = f"{best.path}: {name} {best.figures[name]:.5g}, the best of {len(having)} runs."
    return write_best(target, title, words_of(config, typed))


def words_of(config: Config, typed: Sequence[str], without: Sequence[str] = ()) -> list[str]:
    """Words that compose this frozen config, whatever made it: experiments, a search, its values.

    They are the options of the config groups, the words that were typed, and the keys whose values
    differ from what these give. So no search is needed any more.

    Args:
        config: frozen.
        typed: the words that made it, perhaps with those of a search.
        without: keys to leave as they are by default.
    """
    # What a file may not hold is told by the difference. Of two words for a key the later counts.
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
        # What only the search's own file has as a key is told by the difference.
        words |= {k: w for k, w in kept.items() if k not in chosen and (w[0] in "+~" or k in there)}
        plain = composed(list(words.values()))
        words |= {key_of(word): word for word in _different(freeze_as_composed(plain), config)}
    left_out = (*LEFT_OUT, *without)
    return [w for key, w in words.items() if not any(p in left_out for p in _prefixes(key))]


def _choices(words: Sequence[str]) -> dict[str, str | None]:
    """The options of the config groups that these words choose."""
    try:
        hydra = composed(words).hydra
    except HydraException as error:
        raise UserError(f"The words of the best run compose no config any more: {error}") from error
    return {k: v for k, v in hydra.runtime.choices.items() if not k.startswith("hydra/")}


def _keys(cfg: DictConfig) -> set[str]:
    """Every key of a composed config, those of nodes as well."""
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
    """`a`, `a.b` and `a.b.c` of `a.b.c`."""
    parts = key.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]
