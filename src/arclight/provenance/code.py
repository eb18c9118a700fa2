"""The code that a run was made of, file by file, and what has changed in it since."""

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

# What reads runs, proposes configs and foretells costs: no metric of a run depends on it.
BESIDE = ("arclight/report/", "arclight/search/", "arclight/costs/", "arclight/paper/")
CONFIGS = "configs/"
NAMED = 5  # files in a sentence

Code = dict[str, str]  # digests by file: `mylab/model.py`, `configs/model/vit.yaml`, `train.py`


@cache  # as it was when this process imported it
def digests(project: Path = PROJECT, packages: tuple[Path, ...] | None = None) -> Code:
    """The start of the SHA-256 of each file of the code: owned packages, configs, `train.py`.

    Args:
        project: the folder of `train.py` and the configs.
        packages: folders of packages; None: those that the project owns.
    """
    found = {}
    for name, file in _files(project, owned_folders() if packages is None else packages):
        with suppress(OSError):  # it has gone since, or may not be read
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
    """The code with which a run was executed last; None: its manifest is older than digests."""
    if "code" not in manifest:
        return None
    code = dict(manifest["code"])
    for later in manifest.get("continued", ()):
        code |= later["code"]
    return {file: digest for file, digest in code.items() if digest}


def differing(then: Code, now: Code) -> list[str]:
    """The modules that are not the same, with what has become of them."""
    return [
        file + (" (new)" if file not in then else " (gone)" if file not in now else "")
        for file in sorted({*then, *now})
        if then.get(file) != now.get(file)
    ]


def changed_since(run: RunDirectory) -> list[str]:
    """The files that a run's metrics may depend on and that have changed since its execution.

    A new module is not one of them, since no old code imports it. Of the configs, those count that
    the run was composed of.
    """
    if not run.manifest_file.is_file():
        return []
    manifest = run.manifest
    then = last_executed(manifest)
    return _bearing(differing(then, digests()), manifest) if then else []


def _bearing(names: list[str], manifest: Mapping[str, Any]) -> list[str]:
    chosen = {f"{CONFIGS}{k}/{v}.yaml" for k, v in manifest.get("choices", {}).items()}
    return [
        name
        for name in names
        if not name.startswith(BESIDE) and not name.endswith(" (new)")
        if not name.startswith(CONFIGS) or name in {*chosen, f"{CONFIGS}train.yaml"}
    ]


def named(names: Iterable[str]) -> str:
    """The names in a sentence, or the first of many."""
    all_of_them = sorted(names)
    shown, more = all_of_them[:NAMED], len(all_of_them) - NAMED
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def warn_of_changes(run: RunDirectory) -> None:
    """Says on stderr which code has changed since the run was executed, if any has."""
    if names := changed_since(run):
        print(
            f"warning: the code has changed since this run: {named(names)}; "
            "its metrics may differ.",
            file=sys.stderr,
        )


def note_code(
    run: RunDirectory, git: Callable[[], dict[str, Any]], say: Callable[[str], None]
) -> None:
    """What is to be said and kept of the code when an execution of the run begins.

    Where it is not the code of the execution before, the manifest gets another entry in
    `continued`: when, what git has of it, and the digests that changed (null: the file has gone).

    Args:
        git: the state that the manifest keeps.
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
        if names := _bearing(differing(then, now), manifest):
            say(f"warning: the code has changed since this run was last executed: {named(names)}.")
    if sentence := _not_kept(manifest.get("git", {})):
        say(sentence)


def _not_kept(git: Mapping[str, Any]) -> str | None:
    if git.get("complaint"):
        return (
            f"warning: the text of the code is not kept ({git['complaint']}); its digests in "
            "manifest.json tell whether it changes."
        )
    if git.get("left_out"):
        return (
            f"warning: git ignores {named(git['left_out'])}, or it is too large or looks like it "
            "holds a secret: its text is not kept, and its digest in manifest.json tells whether "
            "it changes."
        )
    return None
