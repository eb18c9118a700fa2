"""Exceptions with messages for the user."""

__all__ = ["UserError"]


class UserError(Exception):
    """An error that the user can fix: commands print its message without a traceback.

    The message says what was given, what was expected, and what to type instead. The command exits
    with code 2.
    """


class RunFailedError(Exception):
    """Raised for a failed job of a multirun that has printed its error; other jobs continue."""
