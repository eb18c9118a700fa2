"""What git has of the project: a commit, and the patch that makes of it the code as it is."""

import os
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from arclight.masking import holds_secrets

CODE = ("src", "configs", "scripts", "train.py")  # where an untracked file is of the code
LARGEST = 256 * 1024  # bytes of an untracked file; what is larger was not typed
LARGEST_OF_ALL = 4 * 1024**2


class _GitError(Exception):
    """In git's own words."""


@cache  # as it was when this process imported it
def state(project: Path, packages: tuple[Path, ...] = ()) -> dict[str, Any]:
    """What `git` keeps in a manifest.

    Args:
        project: the folder of `train.py`.
        packages: folders of owned packages; of those outside of the project nothing is kept.

    Returns:
        `commit` and `branch`; `patch`, which `git apply` takes on the commit: uncommitted changes,
        and text files of the code that are not tracked yet, unless git ignores them; `left_out`:
        modules that are in neither, and files with what is likely a secret. Outside of a repository
        all are None, but for `complaint`.
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
    """The Python files below a folder, without those that an editor hides."""
    for place, below, files in os.walk(folder):
        below[:] = [name for name in below if name[0] != "."]
        for name in files:
            if name.endswith(".py") and name[0] != ".":
                yield Path(place, name)


# Whatever the user's own settings of git are.
_DIFF = (
    *("-c", "diff.relative=false", "diff", "HEAD", "--binary", "--no-color", "--no-ext-diff"),
    *("--no-textconv", "--src-prefix=a/", "--dst-prefix=b/", "-U3", "--submodule=short"),
)
_LIST = ("ls-files", "-t", "-z", "--full-name", "--cached", "--others", "--exclude-standard")


def _without_secrets(patch: str) -> tuple[str, list[str]]:
    """The patch without the files that hold what is likely a secret, and their names."""
    parts = re.split(r"^(?=diff --git )", patch, flags=re.MULTILINE)
    hidden = [part for part in parts if holds_secrets(part)]
    names = [re.sub(r"^diff --git a/(.*?) b/.*", r"\1", part.partition("\n")[0]) for part in hidden]
    return "".join(part for part in parts if part not in hidden), names


def _patches(top: Path, names: list[str]) -> Iterator[tuple[str, str]]:
    """Names of untracked text files, each with the patch that makes it."""
    room = LARGEST_OF_ALL
    for name in sorted(names, key=lambda name: not name.endswith(".py")):
        if name[0] == "." or "/." in name or not name.isprintable() or set(name) & set('"\\'):
            continue  # an editor's, or what a patch would have to quote
        file = top / name
        try:
            size = file.lstat().st_size
            if size > min(LARGEST, room) or file.is_symlink():
                continue
            content = file.read_bytes()
            executable = os.access(file, os.X_OK)
        except OSError:  # it has gone since, or may not be read
            continue
        if b"\0" in content or holds_secrets(_text(content)):
            continue
        room -= size
        yield name, _as_new(name, _text(content), executable)


def _as_new(name: str, text: str, executable: bool) -> str:
    """As `git diff` shows a new file, but for the line with its hash."""
    head = f"diff --git a/{name} b/{name}\nnew file mode {'100755' if executable else '100644'}\n"
    if not text:
        return head
    lines = text.removesuffix("\n").split("\n")
    end = "" if text.endswith("\n") else "\\ No newline at end of file\n"
    tab = "\t" if " " in name else ""  # where else would the name end
    head += f"--- /dev/null\n+++ b/{name}{tab}\n@@ -0,0 +1,{len(lines)} @@\n"
    return head + "".join(f"+{line}\n" for line in lines) + end


def _git(project: Path, *words: str) -> str:
    """What git says to that, to the last byte; `state` looks, and so takes no lock."""
    command = ("git", "-C", str(project), *words)
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
    """Any bytes as text that JSON keeps; encoding it in the same way gives them back."""
    return content.decode(errors="surrogateescape")
