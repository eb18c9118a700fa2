"""A fault of a config: a sentence, and the keys that it is about."""

from collections.abc import Sequence
from dataclasses import dataclass

from arclight.errors import UserError


@dataclass(frozen=True)
class Fault:
    """One fault of a config.

    Attributes:
        message: what was given, what was expected, what to type instead.
        paths: the keys that it is about, such as `optimizer.lr`.
        unset: whether leaving these keys out fixes the fault.
        missing: whether they have no value and one must be given.
    """

    message: str
    paths: tuple[str, ...] = ()
    unset: bool = False
    missing: bool = False

    @property
    def alone(self) -> str:
        """The sentence to show if it is not known where the keys were set."""
        return f"{self.message}{self.removal}" if self.unset and not self.has_hint else self.message

    @property
    def has_hint(self) -> bool:
        """Whether the sentence suggests the key that was meant."""
        return ": did you mean" in self.message

    @property
    def removal(self) -> str:
        """The sentence that says how to leave the keys out."""
        keys = " ".join(f"~{path}" for path in self.paths)
        return f" Type {keys} to leave {'them' if len(self.paths) > 1 else 'it'} out."


class ConfigError(UserError):
    """Raised when a config has faults; the message has a line for each."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(fault.alone for fault in faults))
        self.faults = tuple(faults)
