"""The site: `make docs` builds it into docs/_build, offline, with warnings as errors."""

import sys
from pathlib import Path

FOLDER = Path(__file__).parent
PROJECT = FOLDER.parent
sys.path[:0] = [str(FOLDER), str(PROJECT / "src")]

from reference import api, configuration, data_formats  # noqa: E402

project = "Arclight"
author = "The Arclight authors"
copyright = author

# Pages that are made of the code and the configs, whenever the site is built.
GENERATED = FOLDER / "generated"
GENERATED.mkdir(exist_ok=True)
(GENERATED / "configuration.md").write_text(configuration(), encoding="utf-8")
(GENERATED / "api.md").write_text(api(), encoding="utf-8")
(FOLDER / "data_formats.md").write_text(data_formats(), encoding="utf-8")  # tracked: people read it

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3

default_role = "code"  # docstrings write code as Markdown does
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_use_ivar = True

highlight_language = "none"
html_theme = "furo"
html_title = "Arclight"
html_show_sphinx = False
