"""Read `.env` beside train.py: environment variables for all commands, masked in all files."""

import os
import re
from pathlib import Path

from arclight.masking import from_variable

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*")


def read_dotenv(file: Path) -> None:
    """Sets the variables in the file that are not set yet; the file is never written."""
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:  # it does not exist
        return
    for line in lines:
        found = _LINE.fullmatch(line)
        if found is None or line.lstrip().startswith("#"):
            continue
        name, value = found[1], found[2]
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        os.environ.setdefault(name, value)
        from_variable(name)
