"""What was meant by a word that is not known."""

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, choices: Iterable[str], prefix: str = "") -> str:
    """The end of a sentence about an unknown word: the nearest choice, or all of them."""
    known = sorted(choices)
    if close := nearest(word, known):
        return f": did you mean {prefix}{close}?"
    return f": it knows {', '.join(known)}." if known else ": it takes none."


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice that is spelled most like the word, if any is much like it."""
    close = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return close[0] if close else None
