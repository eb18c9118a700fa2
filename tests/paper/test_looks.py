"""A paper's files in LaTeX and a browser; skipped if these are not installed."""

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from arclight.paper.run_paper import run_paper
from tests.paper.conftest import TINY, Filled

pytestmark = pytest.mark.slow

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PROBE = """<script>addEventListener("load", () => {
  const root = document.documentElement;
  const images = [...document.images];
  const fetched = performance.getEntriesByType("resource").filter(e => !e.name.startsWith("data:"));
  parent.document.title = [innerWidth, root.scrollWidth - root.clientWidth, images.length,
    images.filter(i => !i.naturalWidth).length, fetched.length].join(" ");
});</script>"""


def found(*names: str) -> str:
    """The first of the programs that is installed."""
    places = [place for name in names if (place := shutil.which(name))]
    if not places:
        pytest.skip(f"none of {', '.join(names)} is installed")
    return places[0]


@pytest.fixture
def written(filled: Filled) -> Path:
    folder = filled(wide=[0.95, 0.96, 0.95], narrow=[0.80, None])
    claims = "paper.claims=['wide > narrow on test/accuracy','parameters(wide) = 5.2K +- 1%']"
    assert run_paper([*TINY, "paper.check=true", f"paper.dir={folder}", claims]) in (0, 1, 3)
    return folder


def test_latex_compiles_the_table(written: Path, tmp_path: Path) -> None:
    latex = found("pdflatex", "tectonic")
    how = ["-interaction=nonstopmode", "-halt-on-error"] if latex.endswith("pdflatex") else []
    table = (written / "table.tex").read_text()
    document = f"\\documentclass{{article}}\\usepackage{{booktabs}}\n\\begin{{document}}\n{table}\n"
    (tmp_path / "paper.tex").write_text(f"{document}\\end{{document}}\n")
    done = subprocess.run(
        [latex, *how, "paper.tex"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "paper.pdf").stat().st_size > 1000
    assert "Overfull" not in done.stdout


@pytest.mark.parametrize("width", [400, 1400])
def test_a_browser_shows_the_report_without_network_or_error(
    written: Path, tmp_path: Path, width: int
) -> None:
    browser = found(*BROWSERS)
    report = (written / "report.html").read_text()
    page = tmp_path / "page.html"  # a window of a browser may not be as narrow as 400 pixels
    page.write_text(
        "<!doctype html><body style='margin:0'>"
        f"<iframe width={width} height=3000 style='border:0' srcdoc='"
        f"{html.escape(report.replace('</body>', f'{PROBE}</body>'))}'></iframe>"
    )
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'user'}"]
    flags += ["--enable-logging=stderr", f"--window-size={max(500, width)},3000"]
    flags += ["--virtual-time-budget=5000", "--dump-dom"]
    done = subprocess.run(
        [browser, *flags, page.as_uri()], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "CONSOLE" not in done.stderr
    title = re.search("<title>([^<]*)</title>", done.stdout)
    assert title is not None, done.stdout[:500]
    inner, hidden, images, broken, fetched = map(int, title[1].split())
    assert (inner, hidden) == (width, 0)  # nothing has to be scrolled to the side
    assert images >= 2
    assert (broken, fetched) == (0, 0)
