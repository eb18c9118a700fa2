"""Check for a network once, instead of half a minute of retries, and explain errors of the hub."""

import socket
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from arclight.libraries.huggingface import endpoint, is_offline, offline

__all__ = ["CutOffError", "address", "hub", "is_temporary", "reachable", "refusal", "why_not"]


def reachable(endpoint: str) -> bool:
    """Whether a server answers at this URL within five seconds."""
    if urllib.request.getproxies():
        return True  # with a proxy, a direct connection would prove nothing
    url = urllib.parse.urlsplit(endpoint)
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        socket.create_connection((url.hostname or "", port), timeout=5).close()
    except OSError:
        return False
    return True


def address(path: str) -> tuple[str, str | None, str | None]:
    """Splits ORG/NAME:SUBSET@REVISION into repository, subset and revision (None if left out)."""
    rest, _, revision = path.partition("@")
    repo, _, subset = rest.partition(":")
    return repo, subset or None, revision or None


@contextmanager
def hub(may_connect: bool = True) -> Iterator[bool]:
    """If the Hugging Face hub cannot be reached, makes its library use only the cache.

    Yields whether the hub can be reached.

    Args:
        may_connect: False means to use only the cache.
    """
    within = may_connect and not is_offline() and reachable(endpoint())
    with offline(not within):
        yield within


def why_not(within: bool, error: BaseException | None = None) -> str:
    """Ends a sentence about something that could not be loaded from the hub."""
    if not within:
        return "is out of reach: no network"
    return (error and refusal(error)) or "does not exist or needs a login"


def refusal(error: BaseException) -> str | None:
    """Explains an error of the hub or the network as the end of a sentence; None for other errors.

    Libraries raise their own errors, with the hub's error as the cause.
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
        if _is_temporary(cause):
            text = f"status {_status(cause)}" if _status(cause) else " ".join(str(cause).split())
            return f"does not answer ({text[:100]}): try again later"
    return None


class CutOffError(OSError):
    """Raised when a download has fewer bytes than announced."""


def is_temporary(error: BaseException) -> bool:
    """Whether the error is temporary, so that a retry may succeed."""
    return any(map(_is_temporary, _causes(error)))


def _is_temporary(error: BaseException) -> bool:
    kinds = {kind.__name__ for kind in type(error).__mro__}  # names work for any HTTP client
    known = "TransportError" in kinds or isinstance(error, CutOffError)
    # A thread that cannot connect closes the shared client of the hub; others find it closed.
    gone = "client has been closed", "'NoneType' object has no attribute 'request'"
    known = known or any(text in str(error) for text in gone)
    return known or _status(error) in (408, 429) or _status(error) >= 500


def _status(error: BaseException) -> int:
    return int(getattr(getattr(error, "response", None), "status_code", 0))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        yield error
        seen.append(error)
        error = error.__cause__ or error.__context__
