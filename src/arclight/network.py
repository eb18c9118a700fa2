"""Whether there is a network, asked once instead of half a minute of retries."""

import socket
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager


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


@contextmanager
def hub() -> Iterator[bool]:
    """Where the Hugging Face hub is out of reach, what is in its cache still is not.

    Yields whether it is within reach; if not, its libraries try nothing but the cache.
    """
    import huggingface_hub.constants as settings

    before = settings.HF_HUB_OFFLINE
    within = not before and reachable(settings.ENDPOINT)
    settings.HF_HUB_OFFLINE = not within
    try:
        yield within
    finally:
        settings.HF_HUB_OFFLINE = before


def why_not(within: bool) -> str:
    """The end of a sentence about something that the hub did not give."""
    return "does not exist or needs a login" if within else "is out of reach: no network"
