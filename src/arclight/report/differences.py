"""The keys in which runs differ."""

from collections.abc import Sequence

from arclight.report.results import Result

# Keys that do not change what a run computes.
INCIDENTAL = ("name", "runs", "run_dir", "logger", "trial", "search", "preflight")


# The last parts of keys in which repetitions differ.
REPEATED = ("seed", "split_seed", "fold")


def differing(results: Sequence[Result]) -> list[str]:
    """The keys that distinguish the runs: overrides that differ; then, for runs with equal
    overrides and different configs, the keys of the config that differ.
    """
    typed = dict.fromkeys(key for result in results for key in result.typed)
    varied = [k for k in typed if varies(results, k) and not _is_incidental(k)]
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(repr([result.value(key) for key in varied]), []).append(result)
    more: dict[str, None] = {}
    for group in groups.values():
        keys = dict.fromkeys(key for result in group for key in result.config)
        more |= dict.fromkeys(k for k in keys if varies(group, k) and not _is_incidental(k))
    return [*varied, *(key for key in more if key not in varied)]


def varies(results: Sequence[Result], key: str) -> bool:
    return len({repr(result.settings.get(key)) for result in results}) > 1


def _is_incidental(key: str) -> bool:
    return key.split(".")[0] in INCIDENTAL


def distinguishing(results: Sequence[Result]) -> list[str]:
    """The keys that distinguish the runs, except those of repetitions, for `by=auto`."""
    leaves = dict.fromkeys(key for result in results for key in result.config)
    varied = [
        key
        for key in leaves
        if len({repr(result.config.get(key)) for result in results}) > 1
        and not _is_incidental(key)
        and not _is_repeated(key)
    ]
    if not varied:  # all runs have the same config, even if their overrides differ
        return []
    return [key for key in differing(results) if not _is_repeated(key)] or varied


def _is_repeated(key: str) -> bool:
    return key.rpartition(".")[2] in REPEATED
