"""`report.html`: the whole paper in one self-contained file."""

import base64
import html
import re
from collections.abc import Sequence
from pathlib import Path

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: #111; background: #fff; margin: 0 auto;
  max-width: 1100px; padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2rem; } h3 { font-size: 1.05rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.6rem; text-align: left; border-bottom: 1px solid #ddd;
  overflow-wrap: normal; }
thead th { border-bottom: 2px solid #111; border-top: 2px solid #111; }
figure { margin: 1.5rem 0; } img { max-width: 100%; height: auto; }
code { font-size: 0.9em; background: #f2f2f2; padding: 0 0.2em; }
"""


def page(title: str, parts: Sequence[str], pictures: Sequence[Path]) -> str:
    """An HTML page from Markdown and figures.

    Args:
        title: of the page.
        parts: Markdown with headings, paragraphs, lists and tables.
        pictures: PNG files, which are embedded.
    """
    body = [to_html(part) for part in parts]
    if pictures:
        body.append("<h2>Figures</h2>")
    for file in pictures:
        data = base64.b64encode(file.read_bytes()).decode()
        body.append(
            f'<figure><img alt="{html.escape(file.stem)}" src="data:image/png;base64,{data}">'
            f"<figcaption>{html.escape(file.stem)}</figcaption></figure>"
        )
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head>"
    )
    return f"{head}\n<body>\n" + "\n".join(body) + "\n</body></html>\n"


def to_html(text: str) -> str:
    """Converts the Markdown of this package: headings, paragraphs, lists and tables."""
    return "\n".join(_block(block) for block in re.split(r"\n\s*\n", text.strip()) if block)


def _block(block: str) -> str:
    lines = block.splitlines()
    if lines[0].startswith("|"):
        return _table(lines)
    if heading := re.fullmatch(r"(#+) (.*)", lines[0]):
        level = len(heading[1])
        rest = "\n".join(lines[1:])
        return f"<h{level}>{_inline(heading[2])}</h{level}>" + (_block(rest) if rest else "")
    if all(line.startswith("- ") for line in lines):
        return "<ul>" + "".join(f"<li>{_inline(line[2:])}</li>" for line in lines) + "</ul>"
    if len(lines) > 1 and all(line.startswith("- ") for line in lines[1:]):
        return _block(lines[0]) + _block("\n".join(lines[1:]))
    return f"<p>{_inline(' '.join(lines))}</p>"


def _table(lines: Sequence[str]) -> str:
    def cells(line: str) -> list[str]:
        parts = re.split(r"(?<!\\)\|", line.strip().strip("|"))
        return [_inline(part.strip().replace("\\|", "|")) for part in parts]

    head = "".join(f"<th>{cell}</th>" for cell in cells(lines[0]))
    body = "".join(
        "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells(line)) + "</tr>" for line in lines[2:]
    )
    table = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="wide"><table>{table}</table></div>'


def _inline(text: str) -> str:
    said = html.escape(text, quote=False)
    said = re.sub(r"`([^`]*)`", r"<code>\1</code>", said)
    return re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", said)
