"""Compose the project's config with other words than those of the command line."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from arclight.config.freeze import freeze
from arclight.config.project import PROJECT


def hydra_ready() -> AbstractContextManager[object]:
    """Hydra to compose with: that of the command, within one, else one of the project's configs."""
    if GlobalHydra.instance().is_initialized():
        return nullcontext()
    return initialize_config_dir(str(PROJECT / "configs"), version_base="1.3")


def composed(words: Sequence[str]) -> DictConfig:
    """Composes as the command does: with these words, from where it finds its configs.

    Used within `hydra_ready`.
    """
    typed = HydraConfig.get().overrides.hydra if HydraConfig.initialized() else []
    paths = [word for word in typed if word.startswith("hydra.searchpath=")]
    return compose("train", overrides=[*paths, *words], return_hydra_config=True)


def typed_words(hydra: Any) -> list[str]:
    """The words of the command as they were typed: an interpolation stays one.

    Args:
        hydra: Hydra's own node of the config.
    """
    words = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    assert isinstance(words, list)
    return [str(word) for word in words]


def freeze_as_composed(cfg: DictConfig) -> dict[str, Any]:
    """Freezes a config that holds Hydra's own node, to which interpolations may refer."""
    with _hydra_config(cfg):
        plain = copy.copy(cfg)
        with open_dict(plain):
            del plain["hydra"]
        return freeze(plain, cfg.hydra.runtime.choices, cfg.hydra.overrides.task)


@contextmanager
def _hydra_config(cfg: DictConfig) -> Iterator[None]:
    singleton = HydraConfig.instance()
    before = singleton.cfg
    singleton.set_config(cfg)
    try:
        yield
    finally:
        singleton.cfg = before
