"""`experiment=best_of path=PATH`: the words of a `best.yaml` in the place of these two."""

from collections.abc import Sequence
from pathlib import Path

from arclight.config.found_words import require_plain
from arclight.errors import UserError
from arclight.reading import read_yaml

EXPERIMENT = "experiment=best_of"
FILE = "best.yaml"


def expand(words: Sequence[str]) -> list[str]:
    """The command line with the best config's words before its own, of which none is overruled.

    Raises:
        UserError: the path is not given, or holds no best config.
    """
    if EXPERIMENT not in words:
        return list(words)
    paths = [word.partition("=")[2] for word in words if word.startswith("path=")]
    if not paths or not paths[-1]:
        raise UserError(
            f"{EXPERIMENT} needs the search whose best trial it takes: type path=runs/search/NAME."
        )
    own = [word for word in words if word != EXPERIMENT and not word.startswith("path=")]
    said = {key_of(word) for word in own}
    return [*(word for word in read(paths[-1]) if key_of(word) not in said), *own]


def read(path: str) -> list[str]:
    """The words that a `best.yaml` holds, or that of a folder.

    Raises:
        UserError: there is none, or it holds more than words of the config.
    """
    given = Path(path).expanduser()
    file = given / FILE if given.is_dir() else given
    if not file.is_file():
        raise UserError(
            f"path={path} holds no {FILE}: a search leaves one when a trial has finished, and "
            f"python scripts/results.py DIR best={FILE} writes one for the best of any runs."
        )
    content = read_yaml(file)
    words = content.get("overrides") if isinstance(content, dict) else None
    if not isinstance(words, list):
        raise UserError(f"{file} is no best config: it has no list of overrides.")
    return require_plain(words, file)


def key_of(word: str) -> str:
    """What an override is about: `model` of `model=cnn`, of `+model=cnn` and of `~model`."""
    return word.lstrip("+~").partition("=")[0]
