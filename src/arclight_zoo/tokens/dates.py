"""Dates in words and in ISO 8601: pairs of texts that need no download."""

import calendar
import datetime
from collections.abc import Iterator

import numpy as np

from arclight.seeds import mix

PAIRS = 6000
YEARS = (1900, 2100)  # the first year, and the last + 1


def pairs() -> Iterator[tuple[str, str]]:
    """Yields distinct dates in words and in ISO 8601.

    For example ("the 24th of November 2026", "2026-11-24").
    """
    first, end = (datetime.date(year, 1, 1).toordinal() for year in YEARS)
    rng = np.random.Generator(np.random.Philox(key=mix("dates")))
    days = rng.permutation(np.arange(first, end))[:PAIRS]
    forms = rng.integers(len(FORMS), size=PAIRS)
    for day, form in zip(days.tolist(), forms.tolist(), strict=True):
        date = datetime.date.fromordinal(day)
        yield in_words(date, FORMS[form]), date.isoformat()


FORMS = (
    "the {nth} of {month} {year}",
    "{weekday}, {day} {month} {year}",
    "{month} {day}, {year}",
    "{short_weekday} {day} {short_month} {year}",
    "{month} the {nth}, {year}",
    "{weekday} the {nth} of {month}, {year}",
)


def in_words(date: datetime.date, form: str) -> str:
    """Formats the date in words."""
    return form.format(
        day=date.day,
        nth=f"{date.day}{_ending(date.day)}",
        month=calendar.month_name[date.month],
        short_month=calendar.month_abbr[date.month],
        weekday=calendar.day_name[date.weekday()],
        short_weekday=calendar.day_abbr[date.weekday()],
        year=date.year,
    )


def _ending(day: int) -> str:
    if day in (11, 12, 13):
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
