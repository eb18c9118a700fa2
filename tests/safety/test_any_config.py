"""Any content of a config, an override or a table is accepted, or rejected with a message."""

import copy
import gc
import json
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from arclight.config.checks.check import check
from arclight.config.compose import composed as compose_words
from arclight.config.compose import freeze_as_composed
from arclight.config.freeze import flatten
from arclight.config.help.hydra_errors import in_a_sentence
from arclight.config.overrides import quoted
from arclight.config.typed import pasted
from arclight.errors import UserError
from arclight_zoo.gallery.tabular.data import TableData
from tests.conftest import CONFIGS
from tests.safety.whole import WHOLE, examples

KEYS = st.sampled_from(["_target_", "_args_", "_partial_", "_convert_", "a", "lr", "", "a.b", "0"])
TARGETS = st.sampled_from(
    [
        *(
            "torch.nn.Linear",
            "arclight_zoo.image.cnn.CNN",
            "os.system",
            "torch",
            "a..b",
            "???",
            "é",
        ),
        *(
            "arclight.training.optimizers.adamw",
            "project.model.Denoiser",
            "__main__.x",
            "lightning.",
        ),
    ]
)
PLAIN = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), TARGETS)
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
TRIED: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "database": None,
    "derandomize": not WHOLE,
}


def require_sentence(said: str) -> None:
    assert said.strip()
    assert "Traceback" not in said


def at(config: dict[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    """Returns the config with a value at a path."""
    changed = copy.deepcopy(config)
    node = changed
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = value
    return changed


@pytest.fixture(scope="module")
def base(composed: Any) -> dict[str, Any]:
    config: dict[str, Any] = composed()
    return config


@pytest.fixture(scope="module")
def places(base: dict[str, Any]) -> list[list[str]]:
    """The paths of all keys and mappings of the config."""
    leaves = [key.split(".") for key, _ in flatten(base)]
    return sorted(
        {".".join(key[:n]): key[:n] for key in leaves for n in range(1, len(key) + 1)}.values()
    )


def test_any_value_is_accepted_or_rejected(base: dict[str, Any], places: list[list[str]]) -> None:
    @settings(max_examples=examples(200), **TRIED)
    @given(st.lists(st.tuples(st.sampled_from(places), VALUES), min_size=1, max_size=2))
    def attempt(changes: list[tuple[list[str], Any]]) -> None:
        config = base
        for path, value in changes:
            try:
                config = at(config, path, value)
            except (KeyError, TypeError):  # the first change removed the place of the second
                continue
        try:
            check(config)
        except UserError as error:
            require_sentence(str(error))

    attempt()


@pytest.fixture(scope="module")
def whole(base: dict[str, Any]) -> Iterator[DictConfig]:  # `base` initializes Hydra itself
    """The composed config, with Hydra's own node."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        yield compose_words([])


def with_override(word: str, whole: DictConfig) -> DictConfig:
    """Composes the config with an override.

    Reading all config files takes 100 ms, so the files are only read for an override that chooses
    files. Any other is applied to a copy of the config, as Hydra does after reading them.
    """
    (override,) = OverridesParser.create().parse_overrides([word])
    key = override.key_or_group
    if (CONFIGS / key).is_dir() or override.package or override.is_sweep_override():
        return compose_words([word])
    changed = copy.deepcopy(whole)
    ConfigLoaderImpl._apply_overrides_to_config([override], changed)
    changed.hydra.overrides.task.append(word)
    return changed


def test_any_override_is_accepted_or_rejected(whole: DictConfig, places: list[list[str]]) -> None:
    starts = st.sampled_from(["", "+", "++", "~"])
    keys = st.sampled_from([".".join(path) for path in places]) | st.text(max_size=8)
    letters = st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")
    values = st.text(letters, max_size=12) | st.sampled_from(["null", "[1,2]", "{a: 1}", "${seed}"])

    @settings(max_examples=examples(200), **TRIED)
    @given(starts, keys, values)
    def attempt(start: str, key: str, value: str) -> None:
        try:
            (word,) = quoted([f"{start}{key}={value}"])
            check(freeze_as_composed(with_override(word, whole)))
        except UserError as error:
            require_sentence(str(error))
        except (HydraException, OmegaConfBaseException) as error:
            require_sentence(in_a_sentence(error))

    attempt()


def test_any_text_can_be_pasted() -> None:
    letters = st.characters(blacklist_categories=["Cs"], blacklist_characters="\0$\r\n")
    marks = st.text("\\'\" ,[]{}()=:#~a1", max_size=8)

    @settings(max_examples=examples(200), **TRIED)
    @given(st.text(letters, max_size=12) | marks)
    def attempt(value: str) -> None:
        (word,) = shlex.split(pasted("key", value))
        assert OverridesParser.create().parse_override(word).value() == value

    attempt()


CELLS = st.one_of(
    *(
        st.text(max_size=6),
        st.integers().map(str),
        st.floats().map(str),
        st.just(""),
        st.just("nan"),
    ),
    *(st.sampled_from(["a", "b", "1", "0", '"', "a,b", "None", "true", "1e999", "2026-01-01"]),),
)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_any_table_is_accepted_or_rejected() -> None:
    rows = st.lists(st.lists(CELLS, min_size=1, max_size=3), max_size=12)
    names = st.lists(st.text(max_size=4) | st.sampled_from(["y", "x", "split"]), max_size=3)

    @settings(max_examples=examples(60), **TRIED)
    @given(names, rows, st.sampled_from(["csv", "jsonl", "cut"]), st.sampled_from(["y", "x", None]))
    def attempt(header: list[str], table: list[list[str]], kind: str, target: str | None) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / ("table.jsonl" if kind == "jsonl" else "table.csv")
            if kind == "jsonl":
                lines = [json.dumps(dict(zip(header, row, strict=False))) for row in table]
            else:
                lines = [",".join(row) for row in [header, *table]]
            content = "\n".join(lines).encode("utf-8", "surrogatepass")
            file.write_bytes(content[: len(content) // 2] if kind == "cut" else content)
            data = TableData(path=str(file), target=target, batch_size=1)
            try:
                data.setup("fit")
            except UserError as error:
                require_sentence(str(error))

    attempt()
    gc.collect()  # of files that `datasets` leaves open
