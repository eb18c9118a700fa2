"""Samples of files in the comments of configs: shown by help and errors, and true."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from arclight.config.build import build
from arclight.config.help.formats import Format, formats, formats_help, markdown
from arclight.config.help.located import check_typed
from arclight.errors import UserError
from tests.conftest import PROJECT, Composed, options

pytestmark = [  # datasets leaves a metadata.csv open
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored:pytest.PytestUnraisableExceptionWarning"),
]

KNOWN = [(option, one) for option in options("data") for one in formats(option)]
READ = [(o, one) for o, one in KNOWN if o not in ("tar_shards", "token_files")]  # binary files
QUICK = {
    "table": ["data.target=cost"],
    "text_file": ["data.context=4"],
    "text_shards": ["data.context=4", "data.vocab_size=300", "data.block_mb=0.0001"],
    "image_text": ["data.image_size=16"],
}


def test_all_data_of_which_a_path_must_be_given_have_formats(composed: Composed) -> None:
    asked = {o for o in options("data") if composed(f"data={o}")["data"]["path"] == "???"}
    assert asked == {option for option, _ in KNOWN}


@pytest.mark.parametrize(("option", "one"), KNOWN, ids=lambda value: str(value).strip()[:30])
def test_a_format_has_a_short_sample(option: str, one: Format) -> None:
    assert len(one.sample) == (3 if "csv" in one.title else 2)  # the names of columns, and two rows


@pytest.mark.parametrize(("option", "one"), READ, ids=lambda value: str(value).strip()[:30])
def test_the_data_module_reads_what_the_sample_shows(
    composed: Composed, tmp_path: Path, option: str, one: Format
) -> None:
    path = write(one, tmp_path)
    words = [f"data={option}", f"data.path={path}", *re.findall(r"task=\w+", one.title)]
    words += [f"data.{stage}_split=train" for stage in ("val", "test")]
    data = build(composed(*words, *QUICK.get(option, []))["data"])
    data.setup()
    assert data.facts.sizes["train"]


def write(one: Format, folder: Path) -> Path:
    """The sample's file or folder, with enough rows for three splits."""
    suffix = re.search(r"\.(csv|jsonl|txt)", one.title)
    named = one.sample[:1] if "csv" in one.title else ()
    rows = [line.replace("000", f"{i}00") for i in range(10) for line in one.sample[len(named) :]]
    for i, row in enumerate(rows):  # images, where it is of images
        if name := re.search(r"[\w/]+\.(jpg|png)", row):
            image = folder / name[0]
            image.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.full((16, 16), i % 2, dtype=np.uint8)
            pixels[:8] *= 0 if "masks" in name[0] else 100
            Image.fromarray(pixels).save(image)
    if not suffix:
        return folder / "FOLDER"
    title = re.split("[ ,]", one.title)[0]
    file = folder / (title.removeprefix("FOLDER/"))
    file.write_text("\n".join([*named, *rows]) + "\n")
    return folder if title.startswith("FOLDER/") else file


def test_the_first_error_shows_the_formats(composed: Composed) -> None:
    words = ["data=table"]
    with pytest.raises(UserError) as caught:
        check_typed(composed(*words), words)
    said = str(caught.value)
    assert "data.path must be given" in said
    assert all(line in said for one in formats("table") for line in one.sample)


def test_the_help_shows_the_formats_of_the_data_that_is_named() -> None:
    def help_of(*words: str) -> str:
        command = [sys.executable, "train.py", *words, "--help"]
        done = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True)
        return done.stdout

    assert formats_help("seq2seq") in help_of("data=seq2seq")
    assert "image_folder|" in help_of()


def test_formats_are_inherited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "configs" / "data").mkdir(parents=True)
    (tmp_path / "configs" / "data" / "mine.yaml").write_text("defaults:\n  - ours\n  - _self_\n")
    (tmp_path / "configs" / "data" / "ours.yaml").write_text("# Format: FILE\n#   1\n#   2\n")
    monkeypatch.setattr("arclight.config.help.formats.PROJECT", tmp_path)
    assert formats("mine") == [Format("FILE", ("1", "2"))]


def test_the_page_has_every_sample() -> None:
    page = markdown()
    assert all("\n".join(one.sample) in page for _, one in KNOWN)
