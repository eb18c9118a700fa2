"""Allow library constructors only to read while building a config that was found on disk.

Some constructors download, write or unpickle: `torchvision.datasets.MNIST(download=True)`,
`timm.create_model(checkpoint_path=...)`. They cannot all be listed, so an audit hook (PEP 578)
watches what they do.
"""

import os
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from arclight.files import ONLY_READING

FREE = {
    "logger": {"Logger"},
    "callbacks": {"Callback"},
    "trainer": {"Trainer", "Strategy", "Plugin", "Profiler"},
    "search": {"Search"},
}
"""Groups with parts that have to write, and the types of these parts."""

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {
    *("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate"),
    *("os.chmod", "os.chown", "os.setxattr", "os.removexattr", "sqlite3.connect"),
}
_NETWORK = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}
_COMMANDS = {
    *("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork"),
    *("os.forkpty", "os.startfile", "pty.spawn"),
}
_PLAIN = {
    *(("numpy.core.multiarray", n) for n in ("_reconstruct", "scalar")),
    *(("numpy._core.multiarray", n) for n in ("_reconstruct", "scalar")),
    *(("numpy", n) for n in ("ndarray", "dtype")),
    *(("torch._utils", n) for n in ("_rebuild_tensor_v2", "_rebuild_parameter")),
    ("torch.storage", "_load_from_bytes"),  # it unpickles, and each name in it is checked again
    *(("collections", "OrderedDict"), ("_codecs", "encode"), ("builtins", "set")),
}
"""Names that a pickle may contain: arrays and containers."""

_guarded: set[int] = set()  # identifiers of threads
_is_hooked = False


class OnlyReadingError(PermissionError):
    """Raised when a constructor does more than read; the message says what: "write /x"."""


def wants_more(what: str, error: OnlyReadingError) -> str:
    """The error message for a constructor that tries to do more than read."""
    return (
        f"{what} tries to {error}. A config that is found on disk may only read: create the "
        "missing files first."
    )


@contextmanager
def only_reading() -> Iterator[None]:
    """Within the block, library constructors may only read, in child processes too."""
    before = os.environ.get(ONLY_READING)
    os.environ[ONLY_READING] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[ONLY_READING]


def is_wanted(path: str, kinds: Collection[str] = ()) -> bool:
    """Whether an object of these types at this path of the config may only read."""
    return ONLY_READING in os.environ and not FREE.get(path.split(".")[0], set()) & set(kinds)


@contextmanager
def guarded() -> Iterator[None]:
    """Within the block, raises `OnlyReadingError` if this thread does more than read."""
    global _is_hooked
    if not _is_hooked:  # a hook cannot be removed
        sys.addaudithook(_watch)
        _is_hooked = True
    thread = threading.get_ident()
    if thread in _guarded:
        yield
        return
    _guarded.add(thread)
    try:
        yield
    finally:
        _guarded.discard(thread)


def _watch(event: str, given: tuple[object, ...]) -> None:
    if not _guarded or threading.get_ident() not in _guarded:
        return
    if event == "open":
        path, _, flags = (*given, None, None)[:3]
        if isinstance(flags, int) and flags & _WRITING and path not in (os.devnull, b"/dev/null"):
            raise OnlyReadingError(f"write {path!s}")
    elif event in _CHANGES:
        raise OnlyReadingError(f"change {given[0]!s}")
    elif event in _NETWORK:
        raise OnlyReadingError("use the network")
    elif event in _COMMANDS:
        raise OnlyReadingError("start a process")
    elif event == "pickle.find_class" and not _is_plain(given):
        raise OnlyReadingError(f"unpickle {'.'.join(map(str, given))}")


def _is_plain(name: tuple[object, ...]) -> bool:
    module, attribute = (*name, "", "")[:2]
    return name in _PLAIN or (module == "torch" and str(attribute).endswith("Storage"))
