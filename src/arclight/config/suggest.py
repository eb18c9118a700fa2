"""Suggest the name that was meant by an unknown one."""

import difflib
from collections.abc import Iterable

MANY = 60  # choices that a sentence lists


def did_you_mean(word: str, choices: Iterable[str], prefix: str = "") -> str:
    """Ends a sentence about an unknown name with the nearest choice, or with all choices."""
    known = sorted(choices)
    if close := nearest(word, known):
        return f": did you mean {prefix}{close}?"
    shown = ", ".join(known) if len(known) <= MANY else f"{', '.join(known[:MANY])}, ..."
    return f": it accepts {shown}." if known else "."


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """Returns the choice with the most similar spelling, if one is similar enough."""
    spelled: dict[str, list[str]] = {}
    for choice in choices:
        spelled.setdefault(choice.lower(), []).append(choice)
    close = difflib.get_close_matches(word.lower(), list(spelled), n=1, cutoff=0.6)
    if not close:
        return None
    return max(spelled[close[0]], key=lambda c: difflib.SequenceMatcher(None, word, c).ratio())


def key_meant(key: str, keys: Iterable[str]) -> str:
    """Ends a sentence about an unknown key with a similar sibling, or another similar key."""
    known = list(keys)
    parent, _, name = key.rpartition(".")
    siblings = [k.rpartition(".")[2] for k in known if k.rpartition(".")[0] == parent != ""]
    if close := nearest(name, siblings):
        return f": did you mean {parent}.{close}?"
    close = nearest(key, [k for k in known if ("." in k) == bool(parent)])
    if close and (name in close.split(".") or not parent):
        return f": did you mean {close}?"
    if siblings:
        return did_you_mean("", [f"{parent}.{sibling}" for sibling in siblings])
    if not parent and (ends := _ending_with(key, known)):
        return f": did you mean {' or '.join(ends[:2])}?"
    return did_you_mean(key, [k for k in known if "." not in k])


def _ending_with(name: str, keys: Iterable[str]) -> list[str]:
    """The keys with this or a similar last part: `trainer.max_epochs` for `epochs`."""
    leaves: dict[str, list[str]] = {}
    for key in keys:
        leaves.setdefault(key.rpartition(".")[2], []).append(key)
    longer = [key for leaf, found in leaves.items() if leaf.endswith(f"_{name}") for key in found]
    return leaves.get(name) or longer or leaves.get(nearest(name, leaves) or "", [])
