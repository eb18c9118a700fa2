"""Shared by the attacks: a folder in which no payload may leave a file, and the table of `make
safety`."""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

from arclight.config.only_reading import guarded
from arclight.errors import UserError
from tests.safety.whole import WHOLE

PROCESSES = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn")
NETWORK = ("socket.connect", "socket.getaddrinfo")
SHARE = 5  # CI tries one of this number of payloads
HUB = "huggingface.co"
OURS = (
    "git",
    "lscpu",
    "nvidia-smi",
    "ldconfig",
    "gcc",
    "file",
    "uname",
)  # programs that commands may start

_watching: list[list[str]] = []


def _hook(event: str, given: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event in PROCESSES:
        command = given[1] if event == "subprocess.Popen" else given[0]
        first = command[0] if isinstance(command, list | tuple) else command
        if Path(os.fsdecode(first)).name.split()[0] not in OURS:
            _watching[-1].append(f"started {command!r:.100}")
    elif event in NETWORK:
        asked = given[-1] if event == "socket.connect" else given[0]
        if HUB not in str(asked):  # commands may load data and weights from it
            _watching[-1].append(f"asked for {asked}")


@dataclass
class Attack:
    """Attempts to run one payload.

    Attributes:
        loot: the folder in which it would create files.
        refused: the error messages.
        marks: the effects that it had.
    """

    loot: Path
    refused: list[str] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)

    def attempt(self, what: Callable[[], object], *expected: type[BaseException]) -> None:
        """Calls `what`, which may raise `UserError` or one of the expected errors."""
        with self.watched():
            try:
                what()
            except (UserError, *expected) as error:
                self.refused.append(str(error))
        self.require_no_mark()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Records started processes and network requests within the block."""
        _watching.append(self.marks)
        try:
            yield
        finally:
            _watching.pop()

    def require_no_mark(self) -> None:
        self.marks += [f"made {found}" for found in self.loot.rglob("*")]
        assert not self.marks


class Payload:
    """Creates a folder when it is unpickled."""

    def __init__(self, loot: Path) -> None:
        self.loot = loot

    def __reduce__(self) -> Any:
        return os.mkdir, (f"{self.loot}/mark",)


@pytest.fixture(scope="session")
def _hooked() -> None:
    with guarded():  # its hook comes first, so blocked actions are not recorded here
        sys.addaudithook(_hook)  # a hook cannot be removed


@pytest.fixture
def attack(
    _hooked: None,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Attack]:
    """Counts the attack in the table, under the route of the test's mark `route`."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    loot = tmp_path / "loot"
    loot.mkdir()
    found = Attack(loot)
    yield found
    route = request.node.get_closest_marker("route")
    end = "marks" if found.marks else "refused" if found.refused else "harmless"
    record_property("attack", (route.args[0] if route else request.node.name, end))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "route(name): how the payloads of a test arrive")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keeps a seeded sample of the payloads of each route; `make safety` keeps all."""
    if WHOLE:
        return
    by_route: dict[str, list[pytest.Item]] = {}
    for item in items:
        if mark := item.get_closest_marker("route"):
            by_route.setdefault(mark.args[0], []).append(item)
    left_out: set[pytest.Item] = set()
    for route, found in by_route.items():
        left_out |= set(Random(route).sample(found, len(found) * (SHARE - 1) // SHARE))
    config.hook.pytest_deselected(items=[item for item in items if item in left_out])
    items[:] = [item for item in items if item not in left_out]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--table", action="store_true", help="print the number of payloads by route")


_ends: Counter[tuple[str, str]] = Counter()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "teardown":
        _ends.update(tuple(value) for name, value in report.user_properties if name == "attack")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if not config.getoption("--table", False):
        return
    ends = ("refused", "harmless", "marks")
    routes = sorted({route for route, _ in _ends})
    width = max([*map(len, routes), 5])
    terminalreporter.section("attacks")
    terminalreporter.line(f"{'route':{width}}  payloads  {'  '.join(ends)}")
    for route in [*routes, "total"]:
        row = [
            sum(n for (of, was), n in _ends.items() if was == end and route in (of, "total"))
            for end in ends
        ]
        cells = "  ".join(f"{n:>{len(end)}}" for n, end in zip(row, ends, strict=True))
        terminalreporter.line(f"{route:{width}}  {sum(row):>8}  {cells}")
