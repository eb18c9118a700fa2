"""The reproducibility checklist of NeurIPS and ACL, filled in from the runs' manifests."""

from collections.abc import Iterable
from typing import Any

from arclight.paper.cells import tuning_folder
from arclight.paper.outcomes import Outcome, Outcomes
from arclight.paper.table import validation_of
from arclight.report.rows import short
from arclight.report.tables import markdown


def checklist(outcomes: Outcomes) -> str:
    """The items of the two checklists, answered from the manifests, as Markdown."""
    done = [outcome for outcome in outcomes.all if outcome.ending == "finished"]
    parts = [
        "# Reproducibility checklist",
        "The items of the NeurIPS paper checklist and of ACL's Responsible NLP checklist that can "
        "be answered from the runs. The authors must add limitations, licences and broader impact.",
        "## Claims",
        f"{len(outcomes.paper.claims)} claims are stated in the paper's config and tested "
        "automatically; see `claims.md`.",
        "## Code",
        _code(done),
        "## Data, their sizes and splits",
        markdown(_data(done)) or "No run has finished.",
        "## Models, scores and cost",
        markdown(_models(outcomes)),
        "## Number of runs",
        _runs(outcomes),
        "## Hyperparameters: bounds, selection, number of trials",
        _search(outcomes),
        "## Error bars and significance",
        "Deviations, 95% bootstrap intervals and paired tests by seed are reported with the table "
        f"and the claims. Repetitions differ in: {', '.join(outcomes.paper.vary)}.",
        "## Compute",
        _compute(outcomes.all, done),
    ]
    return "\n\n".join(parts) + "\n"


def _code(done: list[Outcome]) -> str:
    commits = sorted({str((o.manifest.get("git") or {}).get("commit")) for o in done})
    patched = sum(bool((o.manifest.get("git") or {}).get("patch")) for o in done)
    locks = sorted({str(o.manifest.get("lock_sha256"))[:12] for o in done})
    return (
        f"Commit {', '.join(commits) or 'unknown'}; {patched} of {len(done)} runs had uncommitted "
        "changes, which their manifests contain as a patch. Lock file "
        f"{', '.join(locks) or 'unknown'}. `python scripts/reproduce.py run=RUN` repeats a run."
    )


def _data(done: list[Outcome]) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for outcome in done:
        facts = outcome.manifest.get("data") or {}
        sizes = facts.get("sizes") or {}
        one = {
            "column": outcome.entry.column,
            **{stage: sizes.get(stage) for stage in ("train", "val", "test")},
            "classes": facts.get("num_classes", len(facts.get("class_names") or []) or None),
            "left out": sum((facts.get("skipped") or {}).values()),
            "fingerprint": str(facts.get("fingerprint", ""))[:12],
        }
        rows.setdefault(repr(one), one)
    return list(rows.values())


def _models(outcomes: Outcomes) -> list[dict[str, Any]]:
    metric = outcomes.paper.metric
    rows = []
    for row in outcomes.rows:
        for column in outcomes.columns:
            size = outcomes.first(row, [column], "parameters")
            rows.append(
                {
                    "row": row,
                    "column": column,
                    "parameters": "" if size is None else f"{size:,.0f}",
                    validation_of(metric): short(outcomes.mean(row, column, validation_of(metric))),
                    metric: short(outcomes.mean(row, column, metric)),
                    "seconds of training": short(outcomes.mean(row, column, "training_seconds")),
                    "total seconds": short(outcomes.mean(row, column, "seconds")),
                }
            )
    return rows


def _runs(outcomes: Outcomes) -> str:
    endings = [outcome.ending for outcome in outcomes.all]
    said = ", ".join(f"{endings.count(e)} {e}" for e in sorted(set(endings)))
    lost = [
        f"- {o.entry.row} on {o.entry.column}, seed {o.seed}: {o.ending}"
        + (f", {o.error}" if o.error else "")
        for o in outcomes.all
        if o.ending != "finished"
    ]
    return "\n".join([f"{len(endings)} runs are planned: {said}.", "", *lost]).rstrip()


def _search(outcomes: Outcomes) -> str:
    tune = outcomes.paper.tuning()
    if tune is None:
        return "None were tuned for this paper: every row uses its stated config for every seed."
    lines = [
        f"Each row had {tune.n_trials} trials on each column, with the {tune.sampler} sampler. The "
        "best one in validation was selected; the test set was not used."
    ]
    for row in outcomes.paper.all_rows():
        lines += [f"- {row.name}, {k}: {v}" for k, v in {**tune.space, **row.space}.items()]
        for column in outcomes.columns:
            file = tuning_folder(outcomes.folder, row.name, column) / "best.yaml"
            if file.is_file():
                chosen = [
                    w.strip(" -") for w in file.read_text().splitlines() if w.startswith("- ")
                ]
                lines.append(f"- {row.name} on {column} uses {' '.join(chosen)}")
    return "\n".join(lines)


def _compute(every: Iterable[Outcome], done: list[Outcome]) -> str:
    kinds: dict[str, float] = {}
    for outcome in every:
        hardware = outcome.manifest.get("hardware") or {}
        if not hardware:
            continue
        gpus = hardware.get("gpus") or []
        name = gpus[0] if gpus else f"{hardware.get('cpu')}, {hardware.get('threads')} threads"
        kinds[name] = kinds.get(name, 0.0) + float(outcome.summary.get("seconds", 0.0))
    lines = [f"- {name}: {seconds / 3600:.3f} device hours" for name, seconds in kinds.items()]
    versions = sorted({str((o.manifest.get("packages") or {}).get("torch")) for o in done})
    total = sum(kinds.values()) / 3600
    return "\n".join(
        [
            *(lines or ["- No run has started."]),
            f"- {total:.3f} device hours in total, including failed runs, excluding searches.",
            f"- torch {', '.join(versions) or 'unknown'}; energy was not measured.",
        ]
    )
