"""Tables as Markdown, CSV and LaTeX. A row is a mapping; all rows have the same columns."""

import csv
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from typing import Any

from arclight.cells import cell, visible

Rows = Sequence[Mapping[str, Any]]


def markdown(rows: Rows) -> str:
    """A Markdown table with aligned columns."""
    if not rows:
        return ""
    lines = [
        [visible(name) for name in rows[0]],
        *(["" if v is None else visible(str(v)) for v in r.values()] for r in rows),
    ]
    lines = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    lines.insert(1, ["-" * width for width in widths])
    padded = (
        " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )
    return "\n".join(f"| {line} |" for line in padded)


def comma_separated(rows: Rows) -> str:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(cell, rows[0]) if rows else [])
    writer.writerows(map(cell, row.values()) for row in rows)
    return text.getvalue().rstrip("\n")


_SPECIAL = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
}


def latex_text(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return "".join(_SPECIAL.get(c, c) for c in text)


def latex(rows: Rows) -> str:
    """A table in the style of the `booktabs` package."""

    def line(cells: Sequence[Any]) -> str:
        words = ("" if one is None else visible(str(one)) for one in cells)
        return " & ".join(map(latex_text, words)) + r" \\"

    columns = list(rows[0]) if rows else []
    body = [line(list(row.values())) for row in rows]
    head = [rf"\begin{{tabular}}{{{'l' * len(columns)}}}", r"\toprule", line(columns), r"\midrule"]
    return "\n".join([*head, *body, r"\bottomrule", r"\end{tabular}"])


FORMATS: dict[str, Callable[[Rows], str]] = {
    "markdown": markdown,
    "csv": comma_separated,
    "latex": latex,
}
