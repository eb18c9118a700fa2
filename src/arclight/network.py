"""Whether there is a network, asked once instead of half a minute of retries."""

import socket
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from arclight.libraries.huggingface import endpoint, is_offline, offline

__all__ = ["CutOffError", "address", "hub", "may_pass", "reachable", "refusal", "why_not"]


def reachable(endpoint: str) -> bool:
    """Whether something answers at the address within five seconds."""
    if urllib.request.getproxies():
        return True  # a direct connection would prove nothing
    url = urllib.parse.urlsplit(endpoint)
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        socket.create_connection((url.hostname or "", port), timeout=5).close()
    except OSError:
        return False
    return True


def address(path: str) -> tuple[str, str | None, str | None]:
    """Repository, subset and revision of ORG/NAME, ORG/NAME:SUBSET, ORG/NAME:SUBSET@REVISION."""
    rest, _, revision = path.partition("@")
    repo, _, subset = rest.partition(":")
    return repo, subset or None, revision or None


@contextmanager
def hub(may_connect: bool = True) -> Iterator[bool]:
    """Where the Hugging Face hub is out of reach, makes its library try nothing but the cache.

    Yields whether it is within reach.

    Args:
        may_connect: False treats the hub as out of reach.
    """
    within = may_connect and not is_offline() and reachable(endpoint())
    with offline(not within):
        yield within


def why_not(within: bool, error: BaseException | None = None) -> str:
    """The end of a sentence about something that the hub did not give."""
    if not within:
        return "is out of reach: no network"
    return (error and refusal(error)) or "does not exist or needs a login"


def refusal(error: BaseException) -> str | None:
    """What the hub or the way to it had against giving something; None: the fault lies elsewhere.

    The libraries on that way raise their own kinds, and keep the hub's as what these came from.
    """
    from huggingface_hub.errors import (
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    for cause in _causes(error):
        if isinstance(cause, GatedRepoError) or "is a gated dataset" in str(cause):
            return "is gated: ask for access on its page, then type hf auth login"
        if isinstance(cause, RevisionNotFoundError):
            return "has no such revision"
        if isinstance(cause, RepositoryNotFoundError):
            return "does not exist or needs a login"
        if _passes(cause):
            words = f"status {_status(cause)}" if _status(cause) else " ".join(str(cause).split())
            return f"does not answer ({words[:100]}): try again later"
    return None


class CutOffError(OSError):
    """Fewer bytes came than were promised."""


def may_pass(error: BaseException) -> bool:
    """Whether another try may be luckier."""
    return any(map(_passes, _causes(error)))


def _passes(error: BaseException) -> bool:
    kinds = {kind.__name__ for kind in type(error).__mro__}  # of whatever client the library uses
    known = "TransportError" in kinds or isinstance(error, CutOffError)
    # A thread that cannot connect closes the one client of the hub; others find it closed or gone.
    gone = "client has been closed", "'NoneType' object has no attribute 'request'"
    known = known or any(words in str(error) for words in gone)
    return known or _status(error) in (408, 429) or _status(error) >= 500


def _status(error: BaseException) -> int:
    return int(getattr(getattr(error, "response", None), "status_code", 0))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        yield error
        seen.append(error)
        error = error.__cause__ or error.__context__
