"""`--help` lists the groups that can be chosen, and may be cut by a pager."""

import os
import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from arclight.config.help.resolvers import groups_help
from arclight.config.options import options
from tests.conftest import PROJECT


def test_help_lists_every_option_in_the_width_of_the_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    choices = OmegaConf.create({"model": "cnn", "data": "digits", "fit": None, "hydra/env": "x"})
    help = groups_help(choices)
    assert max(map(len, help.splitlines())) <= 60
    names = help.replace(",", " ").split()
    assert names[0] == "data"
    assert {*options("data"), *options("model"), "+task/loss", "focal"} <= {*names}
    assert not {name for name in names if name.startswith("_") or name in ("fit", "hydra/env")}


@pytest.mark.parametrize("script", ["train.py", "scripts/results.py"])
def test_a_reader_that_stops_reading_is_no_error(script: str) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, str(PROJECT / script), "--help"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")
