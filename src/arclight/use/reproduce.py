"""Repeats a run in a new directory, and compares the results."""

import math
from pathlib import Path
from typing import Any

from arclight.config.extensions import KEY
from arclight.config.freeze import differences
from arclight.config.only_reading import only_reading
from arclight.errors import UserError
from arclight.provenance.code import Code, differing, last_executed
from arclight.provenance.manifest import describe, hardware
from arclight.reading import read_overrides
from arclight.run.execute import execute
from arclight.run.opened import open_checked
from arclight.run_directory import RunDirectory, create

MACHINE = ("lock_sha256", "python", "platform", "packages", "hardware")


def reproduce(run: str, output: str | None = None, tolerance: str = "0.01") -> int:
    """Executes the run's frozen config again and compares the metrics; returns the exit code.

    With `deterministic=true` on the same hardware and packages the weights must be equal bit by
    bit; otherwise each metric must be within the tolerance.

    Args:
        run: the directory of a finished run.
        output: the new run directory; None: next to the old one.
        tolerance: maximum difference of a metric.

    Returns:
        0: reproduced. 1 or another code: not reproduced, or the new run failed.

    Raises:
        UserError: the run is not finished, its weights cannot be read, or the tolerance is not a
            number.
    """
    old = open_checked(run)
    if old.status != "finished":
        raise UserError(
            f"{run} is not finished ({old.status}), so there is nothing to compare with; "
            f"type python train.py resume={run} first."
        )
    if old.config.get(KEY):
        raise UserError(
            f"{run} was extended, but this command repeats a run in one piece: segments in its "
            "manifest.json lists the commands to type one after another."
        )
    largest = _number(tolerance)
    weights = _final_weights(old)
    config = old.config
    before = old.manifest
    now = {**describe(config), "hardware": hardware(), "choices": before.get("choices", {})}
    changed = _report(before, now)
    path = Path(output).expanduser() if output else None
    name = f"{config['name']}-again"
    new = create(path, old.path.absolute().parent, name, config, read_overrides(old.path), now)
    with only_reading():
        code = execute(new)
    if code:
        return code
    exact = config["deterministic"] and not changed
    return _compare(old, new, weights, exact, tolerance=largest)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(f"tolerance={text} is not a number.") from None


def _report(old: dict[str, Any], now: dict[str, Any]) -> bool:
    """Prints what has changed; returns whether bits may differ because of it."""
    machine = differences({k: old.get(k) for k in MACHINE}, {k: now.get(k) for k in MACHINE})
    lines = [*_code(last_executed(old), now["code"]), *_git(old.get("git"), now["git"])]
    for line in [*lines, *machine] or ["nothing: code, packages and hardware are the same"]:
        print(f"changed since: {line}")
    for later in old.get("continued", ()):
        print(f"changed during the run, on {later['time']}: code: {', '.join(later['code'])}")
    return bool(machine)


def _code(then: Code | None, now: Code) -> list[str]:
    if then is None:
        return ["code: not recorded, it may have changed"]
    names = differing(then, now)
    return [f"code: {', '.join(names)}"] if names else []


def _git(then: dict[str, Any] | None, now: dict[str, Any]) -> list[str]:
    keys = ("commit", "branch", "patch")
    lines = differences(*({k: (of or {}).get(k) for k in keys} for of in (then, now)))
    return [f"git.{line if line[:5] != 'patch' else _PATCH}" for line in lines]


_PATCH = "patch: the uncommitted changes differ (see manifest.json)"


def _final_weights(run: RunDirectory) -> dict[str, Any]:
    """The weights at the end of a run.

    Raises:
        UserError: they cannot be read.
    """
    from arclight.training.checkpoint_files import UnreadableCheckpointError, read

    try:
        weights: dict[str, Any] = read(run.checkpoints / "last.ckpt")["state_dict"]
    except UnreadableCheckpointError as error:
        raise UserError(f"{error}: restore a good one to compare with.") from error
    return weights


def _compare(
    old: RunDirectory,
    new: RunDirectory,
    weights: dict[str, Any],
    exact: bool,
    tolerance: float,
) -> int:
    if old.manifest["data"]["fingerprint"] != new.manifest["data"]["fingerprint"]:
        print("changed since: the data (their fingerprint differs)")
    before, after = old.summary["metrics"], new.summary["metrics"]
    rows = {k: (before[k], after.get(k, math.nan)) for k in before}
    for key, (a, b) in rows.items():
        print(f"{key}: {a} before, {b} now, difference {abs(a - b):.3g}")
    same = _same_weights(weights, _final_weights(new))
    print(f"final weights: {'equal, bit by bit' if same else 'not equal bit by bit'}")
    close = all(abs(a - b) <= tolerance for a, b in rows.values())
    good = same and before == after if exact else close
    wanted = "equal bits" if exact else f"metrics within {tolerance:g}"
    print(f"{'Reproduced' if good else 'NOT reproduced'} (required: {wanted}): {new.path}")
    return 0 if good else 1


def _same_weights(a: dict[str, Any], b: dict[str, Any]) -> bool:
    import torch

    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
