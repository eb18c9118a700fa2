"""The exceptions that a user is meant to read."""

__all__ = ["UserError"]


class UserError(Exception):
    """A fault that the user can mend: shown as its sentence alone, without a traceback.

    The sentence says what was given, what was expected, and what to type instead.
    The command that meets it exits with code 2.
    """


class RunFailedError(Exception):
    """A job of a multirun that has already said why it failed; the others go on."""
