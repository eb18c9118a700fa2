"""Dates in words and in figures: pairs of texts that every Python can make."""

import calendar
import datetime
from collections.abc import Iterator

import numpy as np

from arclight.seeds import mix

PAIRS = 6000
YEARS = (1900, 2100)  # the second is not among them


def pairs() -> Iterator[tuple[str, str]]:
    """So many different dates, each in words of one of the forms and as ISO 8601 has it.

    Such as ("the 24th of November 2026", "2026-11-24").
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
    """The date as the form says it."""
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
