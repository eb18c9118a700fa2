"""A search's summary in Weights & Biases: a run in addition to those of its trials."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

from arclight.report.search_page import best_overrides, rows
from arclight.report.search_plots import importance
from arclight.report.search_results import Search


def settings(config: dict[str, Any]) -> dict[str, Any] | None:
    """The W&B part of a config; None if its runs do not log to W&B."""
    node: dict[str, Any] | None = (config.get("logger") or {}).get("wandb")
    return node


def summarise(search: Search, figures: dict[str, Path]) -> None:
    """Logs the search as a separate run: trials, importances, plots and the best config.

    The id is always the same, so a second call updates the run. Offline it is a folder in `wandb/`
    of the search directory, for `wandb sync`. Errors of W&B are printed as a warning, because the
    results are also on disk.
    """
    node = settings(search.config)
    if node is None or not search.trials:
        return
    try:
        _log(search, figures, node)
    except Exception as error:  # many error types: network, quota, an invalid key
        print(f"warning: the summary of {search.name} was not logged to W&B: {error}")


def summary_id(search: Search) -> str:
    """The id of the summary run: a hash of the study's name and start."""
    began = search.trials[0].datetime_start or ""
    return hashlib.sha256(f"{search.name} {began}".encode()).hexdigest()[:8]


def _log(search: Search, figures: dict[str, Path], node: dict[str, Any]) -> None:
    import wandb

    from arclight.training.loggers import wandb_mode

    mode, number = wandb_mode(node.get("mode", "auto")), summary_id(search)
    kept = search.path / "wandb"
    for old in kept.glob(f"offline-run-*-{number}") if not kept.is_symlink() else ():
        if not old.is_symlink():
            shutil.rmtree(old)  # it is logged again
    if mode == "offline":
        print(f"W&B is offline; to upload later: wandb sync {search.path}/wandb/offline-run-*")
    run = wandb.init(
        project=node.get("project"),
        entity=node.get("entity"),
        group=search.name,
        job_type="summary",
        name=f"{search.name} summary",
        id=number,
        resume="allow",
        mode=mode,
        dir=str(search.path),
        config=_best_config(search),
        settings=wandb.Settings(silent=True, disable_git=True),
    )
    try:
        run.log(_content(search, figures))
        run.summary.update(_totals(search))
    finally:
        run.finish()


def _best_config(search: Search) -> dict[str, Any]:
    if search.best is None:
        return {}
    return {"overrides": best_overrides(search, search.best), **search.best.params}


def _content(search: Search, figures: dict[str, Path]) -> dict[str, Any]:
    """The logged panels: tables, a chart drawn by W&B, and our own plots."""
    import wandb

    lines = rows(search)
    data = [list(line.values()) for line in lines]
    content: dict[str, Any] = {
        "trials": wandb.Table(columns=list(lines[0]), data=data, allow_mixed_types=True)
    }
    shares = importance(search.study)
    if shares:
        bars = wandb.Table(columns=["parameter", "importance"], data=[*map(list, shares.items())])
        content["importances"] = wandb.plot.bar(
            bars, "parameter", "importance", f"Importance for {search.objectives[0]}"
        )
    return content | {f"figures/{name}": wandb.Image(str(path)) for name, path in figures.items()}


def _totals(search: Search) -> dict[str, Any]:
    totals: dict[str, Any] = {"trials": len(search.trials), **search.counts}
    if search.best is not None:
        best = zip(search.objectives, search.best.values, strict=True)
        totals |= {"best_trial": search.best.number, **{f"best/{k}": v for k, v in best}}
    return totals
