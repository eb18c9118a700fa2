"""Creates another package like src/project: python scripts/new_project.py NAME

Copies src/project, configs/*/project.yaml and tests/test_project.py, with the name replaced, and
adds the package to pyproject.toml, so configs may use its classes and it is installed. Then
`python train.py experiment=NAME` trains it.
"""

import importlib.util
import keyword
import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MODEL = "project"
"""The package that is copied."""

# Words with a meaning in YAML or Hydra's grammar: `experiment=null` selects nothing.
WORDS = {"null", "none", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf"}
# The lists of the project's packages, by table and key.
LISTS = (("tool.arclight", "packages"), ("tool.uv.build-backend", "module-name"))


class Refused(Exception):  # noqa: N818
    """Nothing was created; the message gives the reason and what to do."""


def main() -> None:
    if {"--help", "-h"} & set(sys.argv[1:]):
        print((__doc__ or "").strip())
        return
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    try:
        made = make(ROOT, name)
    except Refused as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        sys.exit(2)
    print("\n  ".join(["Created:", *made]))
    print(f"Added {name} to pyproject.toml.")
    print(f"Train it: python train.py experiment={name}")


def make(root: Path, name: str) -> list[str]:
    """Creates the package and returns the names of its files; on an error nothing is created.

    Raises:
        Refused: the name cannot be used, or there is nothing to copy.
    """
    require_name(name)
    files = {place(root, file, name): renamed(file, name) for file in originals(root)}
    require_free(root, name, files)
    pyproject = root / "pyproject.toml"
    try:
        entered = with_package(pyproject.read_text(encoding="utf-8"), name)
        write(files, pyproject, entered)
    except OSError as error:
        raise Refused(f"{error.filename}: {error.strerror}; nothing was created.") from error
    return [str(file.relative_to(root)) for file in files]


def require_name(name: str) -> None:
    """Raises `Refused` for an invalid package name."""
    if not name:
        raise Refused("A package needs a name: make project NAME=mylab.")
    if not (name.isidentifier() and name.isascii()) or name.startswith("_"):
        raise Refused(
            f"{name} is not a valid package name: use letters, digits and underscores, starting "
            "with a letter, such as mylab."
        )
    if keyword.iskeyword(name) or name.lower() in WORDS:
        raise Refused(f"{name} is a reserved word in Python or YAML: choose another name.")
    if name in sys.stdlib_module_names:
        raise Refused(f"{name} is a module of Python's standard library: choose another name.")


def require_free(root: Path, name: str, files: dict[Path, str]) -> None:
    """Raises `Refused` if something with that name exists already."""
    here = (root / "src" / name, root / name, root / f"{name}.py", *files)
    taken = next((path for path in here if path.exists()), None)
    if taken:
        raise Refused(f"{taken.relative_to(root)} exists already: choose another name than {name}.")
    found = importlib.util.find_spec(name)  # also finds the scripts next to this one
    if found:
        where = f" ({found.origin})" if found.origin else ""
        raise Refused(f"{name} is an installed module{where}: choose another name.")


def originals(root: Path) -> list[Path]:
    """The files of the package that is copied."""
    package = sorted(f for name in ("*.py", "py.typed") for f in (root / "src" / MODEL).rglob(name))
    if not package:
        raise Refused(f"src/{MODEL} is missing: type git checkout HEAD -- src/{MODEL}.")
    configs = sorted((root / "configs").glob(f"*/{MODEL}.yaml"))
    test = root / "tests" / f"test_{MODEL}.py"
    return [*package, *configs, *([test] if test.is_file() else [])]


def place(root: Path, file: Path, name: str) -> Path:
    """The path of the copy of a file."""
    names = {MODEL: name, f"{MODEL}.yaml": f"{name}.yaml", f"test_{MODEL}.py": f"test_{name}.py"}
    return root.joinpath(*(names.get(part, part) for part in file.relative_to(root).parts))


def renamed(file: Path, name: str) -> str:
    """The text of the copy."""
    return re.sub(rf"\b{MODEL}\b", name, file.read_text(encoding="utf-8"))


def write(files: dict[Path, str], pyproject: Path, entered: str) -> None:
    """Writes all files, pyproject.toml last; removes them again if one of them fails."""
    folders: list[Path] = []
    written: list[Path] = []
    new = pyproject.with_name(f".{pyproject.name}.new")
    try:
        for file, text in files.items():
            for folder in (file.parent.parent, file.parent):
                if not folder.exists():
                    folder.mkdir()
                    folders.append(folder)
            written.append(file)
            file.write_text(text, encoding="utf-8")
        written.append(new)
        new.write_text(entered, encoding="utf-8")
        os.replace(new, pyproject)
    except BaseException:
        for file in written:
            file.unlink(missing_ok=True)
        for folder in reversed(folders):
            folder.rmdir()
        raise


def with_package(text: str, name: str) -> str:
    """The text of pyproject.toml with the package added to its lists, otherwise unchanged.

    Raises:
        Refused: a list is missing, or has an unexpected format.
    """
    for table, key in LISTS:
        before = names_in(text, table, key)
        if key == "module-name" and not before:
            continue  # the build finds the packages by itself
        text = appended(text, table, key, name)
        if names_in(text, table, key) != [*before, name]:
            raise Refused(
                f"pyproject.toml has no list of names {key} under [{table}]: write {key} = "
                f'["{MODEL}"] there, and run this again.'
            )
    return text


def names_in(text: str, table: str, key: str) -> Any:
    """The parsed list; empty if there is none, or the text is not TOML."""
    try:
        found: Any = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return []
    for part in table.split("."):
        found = found.get(part, {})
    return found.get(key, [])


def appended(text: str, table: str, key: str, name: str) -> str:
    """The text with the name after the last one of the list; comments and lines stay."""
    header = rf"(?ms)^\[{re.escape(table)}\]"
    # In the table: no line that starts another. In the list: strings, commas, comments.
    words = r"(?:[\s,]|#[^\n]*\n|\"[^\"\n]*\")*"
    found = re.search(rf"{header}(?:(?!^\[).)*?^{re.escape(key)}\s*=\s*\[{words}\]", text)
    if found is None:
        return text
    last = list(re.finditer(r'(?m)#[^\n]*|(\s*)"[^"\n]*"', found[0]))
    last = [one for one in last if one[1] is not None]
    if not last:
        return f'{text[: found.end() - 1]}"{name}"{text[found.end() - 1 :]}'
    space = last[-1][1] if "\n" in last[-1][1] else " "
    end = found.start() + last[-1].end()
    return f'{text[:end]},{space}"{name}"{text[end:]}'


if __name__ == "__main__":
    main()
