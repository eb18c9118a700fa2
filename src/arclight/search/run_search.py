"""Runs a search from a composed config to its report."""

import fcntl
from pathlib import Path
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from arclight.config.build import build
from arclight.config.checks.check import check
from arclight.config.compose import hydra_ready, typed_overrides
from arclight.config.environment import hidden
from arclight.config.freeze import differences
from arclight.config.help.located import check_typed
from arclight.config.typed import shown
from arclight.errors import UserError
from arclight.files import open_lock, write_text
from arclight.masking import masked_overrides
from arclight.provenance.code import changed_since, named
from arclight.reading import read_mapping
from arclight.run_directory import RunDirectory
from arclight.search.composer import Composer, fitted
from arclight.search.settings import MAY_CHANGE, Objective, Search
from arclight.search.slots import slots_of
from arclight.search.space import Parameter, parse

FILE = "search.yaml"
SHOWN = 3  # trials of a dry run


def search(cfg: DictConfig, only_check: bool = False) -> int:
    """Starts or continues the search that the config describes; returns the exit code.

    0: no trial failed. 1: some failed. 128 + n: stopped by signal n.

    Args:
        cfg: the composed config.
        only_check: check the config and start nothing.

    Raises:
        UserError: a setting of the search or a trial's config is not valid.
    """
    with hydra_ready():
        settings, node = _settings(cfg)
        return run_search(settings, node, typed_overrides(HydraConfig.get()), only_check)


def run_search(
    settings: Search, node: dict[str, Any], words: list[str], only_check: bool = False
) -> int:
    """Starts or continues a search within `hydra_ready`; see `search`.

    Args:
        node: the settings, as stored in `search.yaml`.
        words: the overrides of a trial's config, without the trial's values.
        only_check: check the config and start nothing.
    """
    space = parse(settings.space)
    composer = Composer(words, space)
    check_typed(composer.base, words)
    space = fitted(space, composer)
    if composer.base["trainer"]["num_nodes"] > 1:
        raise UserError(
            "trainer.num_nodes: each trial of a search runs on one machine; start the same search "
            "on several machines instead."
        )
    aims = settings.aims(composer.base)
    if settings.sampler == "grid":
        for parameter in space:
            parameter.points()
    if only_check:
        return 0
    if settings.dry_run:
        _show(settings, space, aims, composer)
        return 0
    folder = _folder(settings, node, composer)
    return _work(settings, space, aims, composer, folder)


def _settings(cfg: DictConfig) -> tuple[Search, dict[str, Any]]:
    node = OmegaConf.to_container(cfg.search, resolve=True)
    assert isinstance(node, dict)
    plain: dict[str, Any] = {str(k): v for k, v in node.items()}
    for key in ("resume", "run_dir"):
        if cfg.get(key):
            raise UserError(f"{key} belongs to a single run; a search has search.dir=PATH.")
    check({"search": plain})
    settings = build(plain)
    assert isinstance(settings, Search)
    if faults := settings.faults():
        raise UserError("\n".join(faults))
    return settings, plain


def _show(
    settings: Search, space: list[Parameter], aims: list[Objective], composer: Composer
) -> None:
    """Prints the configs of the first trials, from a study in memory."""
    from arclight.search.study import Study

    study = Study(settings, space, aims, None)
    for _ in range(min(SHOWN, study.wanted)):
        claim = study.claim()
        assert claim is not None
        claim.release()
        config = composer.config(claim.values)
        check(config)
        values = " ".join(f"{key}={shown(value)}" for key, value in claim.values.items())
        print(f"# trial {claim.number} of {study.wanted}: {values}")
        print(yaml.safe_dump(config, sort_keys=False))


def _folder(settings: Search, node: dict[str, Any], composer: Composer) -> Path:
    """The search's directory, created if it does not exist.

    Raises:
        UserError: it is the directory of another search, or cannot be created.
    """
    folder = Path(settings.dir).expanduser()
    kept = {k: v for k, v in node.items() if k not in MAY_CHANGE}
    file = folder / FILE
    if file.is_file():
        old = read_mapping(file)
        before = {k: v for k, v in (old.get("search") or {}).items() if k not in MAY_CHANGE}
        changes = differences(
            {"search": before, **(old.get("config") or {})}, {"search": kept, **composer.base}
        )
        if changes:
            raise UserError(
                f"{folder} is a search with another space or config; choose another search.dir to "
                "start a new one. The differences:\n  " + "\n  ".join(changes)
            )
        return folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        content = {
            "name": settings.name,
            "overrides": masked_overrides(composer.overrides),
            "search": hidden(node, "search"),
            "config": composer.base,
        }
        write_text(file, yaml.safe_dump(content, sort_keys=False))
    except OSError as error:
        raise UserError(
            f"The search directory {folder} cannot be created: {error.strerror}; "
            "choose another with search.dir=PATH."
        ) from error
    return folder


def _work(
    settings: Search,
    space: list[Parameter],
    aims: list[Objective],
    composer: Composer,
    folder: Path,
) -> int:
    from arclight.console import attach, say
    from arclight.report.search_report import report
    from arclight.search.study import Study
    from arclight.search.workers import Workers
    from arclight.signals import exit_on_signals

    exit_on_signals()
    slots = slots_of(settings.workers, settings.gpus_per_trial, composer.base, "search")
    study = Study(settings, space, aims, folder)
    with attach(folder / "search.log"):
        say(f"search {settings.name}: {study.ended} of {study.wanted} trials have ended; {folder}")
        if warning := _changed_code(folder):
            say(warning)
        signum = 0
        if not study.is_over and not study.has_failed:
            signum = Workers(settings, study, composer, folder, slots).run()
        exit_on_signals()
        if signum:
            say("Interrupted; the same command continues the search.")
            return 128 + signum
        with open_lock(folder / ".end.lock") as file:  # the first command writes the report
            fcntl.flock(file, fcntl.LOCK_EX)
            if study.study.user_attrs.get("concluded") != study.ended:
                report(folder)
                study.study.set_user_attr("concluded", study.ended)
        for trial in study.failures:
            say(f"trial {trial.number} failed: {trial.user_attrs.get('reason', '')}")
        if study.has_failed and not study.is_over:
            say(
                f"Stopped after {len(study.failures)} failures (search.max_failures="
                f"{settings.max_failures}); the same command with a larger number continues."
            )
    return 1 if study.failures else 0


def _changed_code(folder: Path) -> str | None:
    """A warning if the code has changed since the newest trial; else None."""
    trials = sorted((folder / "trials").glob("[0-9]*"))
    for manifest in sorted(trials[-1].rglob("manifest.json")) if trials else ():
        if names := changed_since(RunDirectory(manifest.parent)):
            return (
                f"warning: the code has changed since trial {int(trials[-1].name)}: "
                f"{named(names)}; later trials may not be comparable with it."
            )
    return None
