"""Git's state of the project: a commit, and the patch from it to the current code."""

import os
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from arclight.masking import holds_secrets

CODE = ("src", "configs", "scripts", "train.py")  # where untracked files count as code
LARGEST = 256 * 1024  # bytes of an untracked file; larger files were not written by hand
LARGEST_OF_ALL = 4 * 1024**2


class _GitError(Exception):
    """Raised with git's error message."""


@cache  # describes the code as this process imported it
def state(project: Path, packages: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Returns the `git` entry of a manifest.

    Args:
        project: the folder of `train.py`.
        packages: the folders of the project's packages; those outside `project` are not saved.

    Returns:
        `commit` and `branch`; `patch`, for `git apply` on the commit: uncommitted changes and
        untracked text files of the code that git does not ignore; `left_out`: modules in neither,
        and files that probably contain a secret. Outside a repository all are None, and `complaint`
        says why.
    """
    try:
        found = _git(project, "rev-parse", "HEAD", "--abbrev-ref", "HEAD", "--show-prefix")
        commit, branch, prefix = found.split("\n")[:3]
        patch, hidden = _without_secrets(_git(project, *_DIFF))
        inside = [f for f in packages if f.is_relative_to(project)]
        places = dict.fromkeys([*CODE, *(f.relative_to(project).as_posix() for f in inside)])
        known = _git(project, *_LIST, "--", *places).split("\0")
    except _GitError as error:
        return {**dict.fromkeys(("commit", "branch", "patch", "left_out")), "complaint": str(error)}
    top = Path(os.path.abspath(project / ("../" * prefix.count("/"))))
    tracked = {name[2:] for name in known if name and name[0] != "?"}
    new = dict(_patches(top, sorted(name[2:] for name in known if name[:1] == "?")))
    folders = inside or [project / "src"]
    modules = {
        prefix + f.relative_to(project).as_posix() for one in folders for f in modules_in(one)
    }
    return {
        "commit": commit,
        "branch": branch,
        "patch": patch + "".join(new.values()),
        "left_out": sorted({*(modules - tracked - new.keys()), *hidden}),
    }


def modules_in(folder: Path) -> Iterator[Path]:
    """Yields the Python files below a folder, without hidden ones."""
    for place, below, files in os.walk(folder):
        below[:] = [name for name in below if name[0] != "."]
        for name in files:
            if name.endswith(".py") and name[0] != ".":
                yield Path(place, name)


# These options override the user's git settings.
_DIFF = (
    *("-c", "diff.relative=false", "diff", "HEAD", "--binary", "--no-color", "--no-ext-diff"),
    *("--no-textconv", "--src-prefix=a/", "--dst-prefix=b/", "-U3", "--submodule=short"),
)
_LIST = ("ls-files", "-t", "-z", "--full-name", "--cached", "--others", "--exclude-standard")


def _without_secrets(patch: str) -> tuple[str, list[str]]:
    """Returns the patch without files that probably contain a secret, and the names of these."""
    parts = re.split(r"^(?=diff --git )", patch, flags=re.MULTILINE)
    hidden = [part for part in parts if holds_secrets(part)]
    names = [re.sub(r"^diff --git a/(.*?) b/.*", r"\1", part.partition("\n")[0]) for part in hidden]
    return "".join(part for part in parts if part not in hidden), names


def _patches(top: Path, names: list[str]) -> Iterator[tuple[str, str]]:
    """Yields the names of untracked text files, each with the patch that creates it."""
    room = LARGEST_OF_ALL
    for name in sorted(names, key=lambda name: not name.endswith(".py")):
        if name[0] == "." or "/." in name or not name.isprintable() or set(name) & set('"\\'):
            continue  # hidden, or a name that a patch would have to quote
        file = top / name
        try:
            size = file.lstat().st_size
            if size > min(LARGEST, room) or file.is_symlink():
                continue
            content = file.read_bytes()
            executable = os.access(file, os.X_OK)
        except OSError:  # it was deleted, or cannot be read
            continue
        if b"\0" in content or holds_secrets(_text(content)):
            continue
        room -= size
        yield name, _as_new(name, _text(content), executable)


def _as_new(name: str, text: str, executable: bool) -> str:
    """A new file as `git diff` shows it, without the line with its hash."""
    head = f"diff --git a/{name} b/{name}\nnew file mode {'100755' if executable else '100644'}\n"
    if not text:
        return head
    lines = text.removesuffix("\n").split("\n")
    end = "" if text.endswith("\n") else "\\ No newline at end of file\n"
    tab = "\t" if " " in name else ""  # marks the end of a name with spaces
    head += f"--- /dev/null\n+++ b/{name}{tab}\n@@ -0,0 +1,{len(lines)} @@\n"
    return head + "".join(f"+{line}\n" for line in lines) + end


def _git(project: Path, *arguments: str) -> str:
    """Returns the output of a git command as text, without loss; takes no optional locks."""
    command = ("git", "-C", str(project), *arguments)
    env = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(command, capture_output=True, timeout=20, check=True, env=env)
    except FileNotFoundError:
        raise _GitError("git is not installed") from None
    except subprocess.CalledProcessError as error:
        raise _GitError(_first_line(error.stderr)) from None
    except (OSError, subprocess.SubprocessError) as error:
        raise _GitError(str(error)) from None
    return _text(done.stdout)


def _first_line(complaint: bytes) -> str:
    return _text(complaint).strip().partition("\n")[0].removeprefix("fatal: ")


def _text(content: bytes) -> str:
    """Decodes any bytes to text for JSON; encoding the same way restores the bytes."""
    return content.decode(errors="surrogateescape")
