"""Digests of the code that a run used, file by file, and the changes since."""

import hashlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from arclight.config.project import PROJECT
from arclight.provenance.packages import owned_folders
from arclight.provenance.repository import modules_in
from arclight.run_directory import RunDirectory

# Code that reads runs, proposes configs and predicts costs: no metric of a run depends on it.
BESIDE = ("arclight/report/", "arclight/search/", "arclight/costs/", "arclight/paper/")
CONFIGS = "configs/"
NAMED = 5  # the most files that a sentence lists

Code = dict[str, str]  # digests by file: `mylab/model.py`, `configs/model/vit.yaml`, `train.py`


@cache  # describes the code as this process imported it
def digests(project: Path = PROJECT, packages: tuple[Path, ...] | None = None) -> Code:
    """Returns the first 16 digits of the SHA-256 of each file of the code.

    These are the files of the project's packages, the configs and `train.py`.

    Args:
        project: the folder of `train.py` and the configs.
        packages: the folders of packages; None: those of the project.
    """
    found = {}
    for name, file in _files(project, owned_folders() if packages is None else packages):
        with suppress(OSError):  # it was deleted, or cannot be read
            found[name] = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    return dict(sorted(found.items()))


def _files(project: Path, packages: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    for package in packages:
        for file in modules_in(package):
            yield file.relative_to(package.parent).as_posix(), file
    for file in (project / "configs").rglob("*.yaml"):
        yield file.relative_to(project).as_posix(), file
    if (project / "train.py").is_file():
        yield "train.py", project / "train.py"


def last_executed(manifest: Mapping[str, Any]) -> Code | None:
    """Returns the code of a run's last execution; None if its manifest has no digests."""
    if "code" not in manifest:
        return None
    code = dict(manifest["code"])
    for later in manifest.get("continued", ()):
        code |= later["code"]
    return {file: digest for file, digest in code.items() if digest}


def differing(then: Code, now: Code) -> list[str]:
    """Returns the names of files that differ, marked if they are new or gone."""
    return [
        file + (" (new)" if file not in then else " (gone)" if file not in now else "")
        for file in sorted({*then, *now})
        if then.get(file) != now.get(file)
    ]


def changed_since(run: RunDirectory) -> list[str]:
    """Returns the files that a run's metrics may depend on and that have changed since it ran.

    New modules do not count, since no old code imports them. Configs count only if the run was
    composed from them.
    """
    if not run.manifest_file.is_file():
        return []
    manifest = run.manifest
    then = last_executed(manifest)
    return _relevant(differing(then, digests()), manifest) if then else []


def _relevant(names: list[str], manifest: Mapping[str, Any]) -> list[str]:
    chosen = {f"{CONFIGS}{k}/{v}.yaml" for k, v in manifest.get("choices", {}).items()}
    return [
        name
        for name in names
        if not name.startswith(BESIDE) and not name.endswith(" (new)")
        if not name.startswith(CONFIGS) or name in {*chosen, f"{CONFIGS}train.yaml"}
    ]


def named(names: Iterable[str]) -> str:
    """Lists names for a sentence; if there are many, the first and the number of the others."""
    all_of_them = sorted(names)
    shown, more = all_of_them[:NAMED], len(all_of_them) - NAMED
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def warn_of_changes(run: RunDirectory) -> None:
    """Prints a warning to stderr if code has changed since the run was executed."""
    if names := changed_since(run):
        print(
            f"warning: the code has changed since this run: {named(names)}; "
            "its metrics may differ.",
            file=sys.stderr,
        )


def note_code(
    run: RunDirectory, git: Callable[[], dict[str, Any]], say: Callable[[str], None]
) -> None:
    """Records the code, and warns of changes, when an execution of the run begins.

    If the code differs from that of the previous execution, adds an entry to `continued` in the
    manifest: the time, git's state, and the digests that changed (null: the file is gone).

    Args:
        run: the run.
        git: returns git's state for the manifest.
        say: called with each warning.
    """
    manifest = run.manifest
    then, now = last_executed(manifest), digests()
    if then is None or (then == now and run.summary["times_resumed"]):
        return
    if then != now:
        changed = {f: now.get(f) for f in sorted({*then, *now}) if then.get(f) != now.get(f)}
        when = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        manifest["git"] = git()
        entry = {"time": when, "git": manifest["git"], "code": changed}
        run.update_manifest(continued=[*manifest.get("continued", ()), entry])
        if names := _relevant(differing(then, now), manifest):
            say(f"warning: the code has changed since this run was last executed: {named(names)}.")
    if sentence := _not_kept(manifest.get("git", {})):
        say(sentence)


def _not_kept(git: Mapping[str, Any]) -> str | None:
    if git.get("complaint"):
        return (
            f"warning: the code itself is not saved ({git['complaint']}); its digests in "
            "manifest.json show whether it changes."
        )
    if git.get("left_out"):
        return (
            f"warning: {named(git['left_out'])}: not saved, since git ignores it, it is too large "
            "or it may contain a secret; its digest in manifest.json shows whether it changes."
        )
    return None
