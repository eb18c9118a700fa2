"""What can be known of the pages without running anything."""

import re
from pathlib import Path

import pytest

from arclight.config.help.formats import markdown
from tests.docs.pages import PAGES, PROJECT

LINK = re.compile(r"\]\((?!https?:|#)(?P<target>[^)#\s]+)")


@pytest.mark.parametrize(
    "page", [*PAGES, "AGENTS.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"]
)
def test_links_lead_somewhere(page: str) -> None:
    file = PROJECT / page
    targets = [m["target"] for m in LINK.finditer(file.read_text(encoding="utf-8"))]
    assert not [target for target in targets if not (file.parent / target).exists()]


@pytest.mark.parametrize(("page", "lines"), [("README.md", 150), ("AGENTS.md", 60)])
def test_it_is_short(page: str, lines: int) -> None:
    assert len((PROJECT / page).read_text(encoding="utf-8").splitlines()) <= lines


def test_pictures_are_small_and_load_nothing() -> None:
    files = list((PROJECT / "docs" / "images").iterdir())
    assert sum(file.stat().st_size for file in files) < 150_000
    drawn = [file.read_text(encoding="utf-8") for file in files if file.suffix == ".svg"]
    assert not [svg for svg in drawn if re.search(r"url\(.?http|href=.http|@import", svg)]


def test_all_pages_are_on_the_site() -> None:
    index = (PROJECT / "docs" / "index.md").read_text(encoding="utf-8").splitlines()
    pages = {Path(page).stem for page in PAGES if page.startswith("docs/")}
    assert pages - {"index"} <= set(index)


def test_the_version_is_the_same_everywhere() -> None:
    version = re.search(r'^version = "(.+)"', (PROJECT / "pyproject.toml").read_text(), re.M)
    assert version
    assert f"\nversion: {version[1]}\n" in (PROJECT / "CITATION.cff").read_text()
    assert f"\n## [{version[1]}] - " in (PROJECT / "CHANGELOG.md").read_text()


def test_the_page_of_data_formats_is_fresh() -> None:
    page = (PROJECT / "docs" / "data_formats.md").read_text(encoding="utf-8")
    assert page.endswith(f"{markdown().strip()}\n"), "type make docs"
