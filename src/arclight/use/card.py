"""The model card: what an exported model is, what it was trained on, and how good it is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arclight.masking import masked
from arclight.tasks.usage import HubUsage, Usage
from arclight.use.trained import Trained

SCORES = {"val": "validation", "test": "test"}
"""Stages in `summary.json` that a card reports, and their names on the hub."""


def card(
    one: Trained,
    format: str,
    place: Path,
    usage: Usage | None,
    example: tuple[str, str] | None,
    license: str | None,
) -> str:
    """The text of the card; for a folder (hf), it begins with metadata for the hub.

    Args:
        one: the run.
        format: of the export.
        place: the exported file or folder.
        usage: the example of the task; None: it has none.
        example: name and text of the script with the example.
        license: None: not stated.
    """
    facts = _Facts(one)
    text = facts.text(format, place, example, license)
    if format != "hf":
        return masked(text)
    from huggingface_hub import ModelCard, ModelCardData

    data = ModelCardData(
        library_name=usage.library if isinstance(usage, HubUsage) else None,
        pipeline_tag=usage.pipeline if isinstance(usage, HubUsage) else None,
        tags=["arclight", *(usage.tags if isinstance(usage, HubUsage) else ())],
        license=license,
        metrics=facts.metrics(),
        model_name=facts.name,
        eval_results=facts.results(usage.pipeline) if isinstance(usage, HubUsage) else None,
    )
    return masked(str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}")))


class _Facts:
    """The facts about a run, from its directory."""

    def __init__(self, one: Trained) -> None:
        self.one = one
        self.manifest, self.summary = one.run.manifest, one.run.summary
        self.choices: Mapping[str, Any] = self.manifest.get("choices") or {}
        path = one.config.get("data", {}).get("path")
        self.source = str(path) if path else None
        self.data = str(self.choices.get("data") or type(one.facts).__name__)
        self.kind = type(one.model).__name__
        self.name = f"{self.choices.get('model') or self.kind}-{self.data}"

    def scores(self) -> dict[str, dict[str, float]]:
        """The metrics of each stage."""
        found: dict[str, dict[str, float]] = {}
        for key, value in (self.summary.get("metrics") or {}).items():
            stage, _, metric = key.partition("/")
            if stage in SCORES and metric and isinstance(value, int | float):
                found.setdefault(metric, {})[stage] = value
        return found

    def metrics(self) -> list[str] | None:
        return [name for name in self.scores() if name != "loss"] or None

    def results(self, pipeline: str) -> list[Any] | None:
        from huggingface_hub import EvalResult

        return [
            EvalResult(
                task_type=pipeline,
                dataset_type=self.data,
                dataset_name=self.data,
                dataset_split=SCORES[stage],
                metric_type=metric,
                metric_value=value,
            )
            for metric, stages in self.scores().items()
            for stage, value in stages.items()
        ] or None

    def text(
        self, format: str, place: Path, example: tuple[str, str] | None, license: str | None
    ) -> str:
        parts = [f"# {self.name}", self._model(format, place), *self._data()]
        parts += ["## Scores", self._scores(), "## Licence", license or "not stated"]
        parts += ["## How to use", *_use(format, place, example), "## How it was made"]
        parts += self._made()
        return "\n\n".join(parts) + "\n"

    def _model(self, format: str, place: Path) -> str:
        count = sum(parameter.numel() for parameter in self.one.model.parameters())
        task = self.one.config["task"]["_target_"].rpartition(".")[2]
        return (
            f"`{place.name}` is a {self.kind} with {count:,} parameters, trained for {task} with "
            f"Arclight and exported as {format}."
        )

    def _data(self) -> list[str]:
        sizes = self.one.facts.sizes
        told = [f"`{self.data}`" + (f" (`{self.source}`)" if self.source else "")]
        told += [f"{count:,} for {split}" for split, count in sizes.items()]
        rows = ["## Data", ", ".join(told) + "."]
        names = getattr(self.one.facts, "class_names", [])
        if names:
            shown = ", ".join(f"`{name}`" for name in names[:50])
            rows.append(f"{len(names)} classes: {shown}{' ...' if names[50:] else ''}.")
        return [*rows, f"Fingerprint: `{self.one.facts.fingerprint}`."]

    def _scores(self) -> str:
        scores = self.scores()
        if not scores:
            return "not measured"
        lines = ["| metric | validation | test |", "| --- | --- | --- |"]
        for metric, stages in scores.items():
            cells = (f"{stages[stage]:.4g}" if stage in stages else "" for stage in SCORES)
            lines.append(f"| {metric} | {' | '.join(cells)} |")
        return "\n".join(lines)

    def _made(self) -> list[str]:
        manifest = self.manifest
        git, hardware = manifest.get("git") or {}, manifest.get("hardware") or {}
        changed = " with changes that are not committed" if git.get("patch") else ""
        chips = ", ".join(hardware.get("gpus") or []) or hardware.get("cpu")
        rows = {
            "command": f"`{manifest['command']}`" if manifest.get("command") else None,
            "commit": f"`{git['commit']}`{changed}" if git.get("commit") else None,
            "seed": manifest.get("seed"),
            "started": manifest.get("created"),
            "seconds": self.summary.get("seconds"),
            "hardware": f"{chips}, {hardware['cores']} CPU cores" if hardware else None,
            "platform": manifest.get("platform"),
            "Python": manifest.get("python"),
        }
        told = "\n".join(f"- {name}: {value}" for name, value in rows.items() if value is not None)
        packages = " ".join(f"{n}=={v}" for n, v in (manifest.get("packages") or {}).items())
        more = f"<details><summary>packages</summary>\n\n{packages}\n\n</details>"
        return [told or "not recorded", *([more] if packages else [])]


def _use(format: str, place: Path, example: tuple[str, str] | None) -> list[str]:
    if example:
        script, code = example
        return [f"`{script}`, beside this file:", f"```python\n{code}```"]
    if format == "safetensors":
        return [
            "As the start of a run in Arclight:",
            f"```bash\npython train.py model.pretrained={place.name}\n```",
        ]
    return ["Open the folder with `from_pretrained` of transformers."]
