"""The comparison of architectures as Markdown, CSV and a plot."""

import csv
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

from arclight.costs.architectures import Row
from arclight.files import write_text

NOTE = (
    "FLOPs are those of a forward pass with one example; a multiply-add counts as two, and "
    "attention counts in full. Memory to train is that of fp32 weights, gradients and AdamW's two "
    "moments, plus the activations of each example, with the kernels of a CPU. All this is counted "
    "from shapes; speed, if given, is measured in fp32 forward passes on this machine's CPU: "
    "medians of 5."
)
COLUMNS = (
    "family", "model", "input", "published (M)", "parameters (M)", "GFLOPs", "train (GiB)",
    "+ GiB/example", "latency (ms)", "examples/s",
)  # fmt: skip


def cells(row: Row) -> list[str]:
    """The cells of a row, one for each column."""

    def number(value: float | None, digits: int = 3) -> str:
        if value is None:
            return ""
        return f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"

    return [
        row.entry.family,
        row.entry.name,
        row.input,
        number(row.entry.published),
        f"{row.parameters / 1e6:,.1f}",
        number(row.step.forward_flops / 1e9),
        number(row.step.fixed / 2**30),
        number(row.step.activations / 2**30),
        number(row.latency_ms),
        number(row.per_second),
    ]


def markdown(rows: Sequence[Row]) -> str:
    """A table; columns without any value are left out."""
    table = [cells(row) for row in rows]
    kept = [i for i in range(len(COLUMNS)) if any(line[i] for line in table)]
    head = [[COLUMNS[i] for i in kept], ["---" if i < 3 else "---:" for i in kept]]
    lines = [*head, *([line[i] for i in kept] for line in table)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write(rows: Sequence[Row], folder: Path) -> list[Path]:
    """`compare.md`, `compare.csv` and `compare.png` in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"compare.{kind}" for kind in ("md", "csv", "png")]
    write_text(files[0], f"{markdown(rows)}\n{NOTE}\n")
    out = StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(
        ["family", "model", "input", "published", "parameters", "forward_flops", "weights_bytes",
         "gradients_bytes", "optimizer_bytes", "activations_bytes", "latency_ms",
         "examples_per_second"]
    )  # fmt: skip
    for row in rows:
        step = row.step
        lines.writerow(
            [row.entry.family, row.entry.name, row.input, round(row.entry.published * 1e6),
             row.parameters, step.forward_flops, step.weights, step.gradients, step.optimizer,
             step.activations, row.latency_ms, row.per_second]
        )  # fmt: skip
    write_text(files[1], out.getvalue())
    draw(rows, files[2])
    return files


def draw(rows: Sequence[Row], target: Path) -> None:
    """Draws FLOPs and training memory against parameters, with a colour for each family."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for family in dict.fromkeys(row.entry.family for row in rows):
        own = [row for row in rows if row.entry.family == family]
        sizes = [row.parameters for row in own]
        left.plot(sizes, [r.step.forward_flops for r in own], "o-", label=family)
        right.plot(sizes, [r.step.peak / 2**30 for r in own], "o-", label=family)
    left.set(xscale="log", yscale="log", xlabel="parameters", ylabel="FLOPs forward, one example")
    right.set(
        xscale="log", yscale="log", xlabel="parameters",
        ylabel="GiB to train with AdamW, one example",
    )  # fmt: skip
    for axis in (left, right):
        axis.grid(alpha=0.3)
    left.legend(fontsize=8)
    figure.savefig(target, dpi=120)
