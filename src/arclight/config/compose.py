"""Compose the project's config with other overrides than those of the command line."""

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
    """Initializes Hydra with the project's configs, unless a command has already done so."""
    if GlobalHydra.instance().is_initialized():
        return nullcontext()
    return initialize_config_dir(str(PROJECT / "configs"), version_base="1.3")


def composed(overrides: Sequence[str]) -> DictConfig:
    """Composes the config with these overrides, from the folders that the command uses.

    Call it within `hydra_ready`.
    """
    typed = HydraConfig.get().overrides.hydra if HydraConfig.initialized() else []
    paths = [override for override in typed if override.startswith("hydra.searchpath=")]
    return compose("train", overrides=[*paths, *overrides], return_hydra_config=True)


def chosen_options(hydra: Any) -> dict[str, str | None]:
    """The chosen option of each config group.

    Hydra's own groups are left out, and so is `fit`, which follows the choice of the data.

    Args:
        hydra: the `hydra` node of the config.
    """
    choices = hydra.runtime.choices.items()
    return {k: v for k, v in choices if k != "fit" and not k.startswith("hydra/")}


def typed_overrides(hydra: Any) -> list[str]:
    """The overrides of the command as they were typed, with interpolations unresolved.

    Args:
        hydra: the `hydra` node of the config.
    """
    overrides = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    assert isinstance(overrides, list)
    return [str(override) for override in overrides]


def freeze_as_composed(cfg: DictConfig) -> dict[str, Any]:
    """Freezes a config that still has the `hydra` node, which interpolations may refer to."""
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
