"""What the attacks share: a place where none may leave a mark, and the table of `make safety`."""

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
SHARE = 5  # of so many payloads one is tried in CI
HUB = "huggingface.co"
OURS = ("git", "lscpu", "nvidia-smi", "ldconfig", "gcc", "file", "uname")  # what commands start

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
        if HUB not in str(asked):  # of which commands may take data and weights
            _watching[-1].append(f"asked for {asked}")


@dataclass
class Attack:
    """Attempts of one payload.

    Attributes:
        loot: a folder in which it would leave its mark.
        refused: the sentences that it got.
        marks: what it has done all the same.
    """

    loot: Path
    refused: list[str] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)

    def attempt(self, what: Callable[[], object], *expected: type[BaseException]) -> None:
        """Does it; a refusal is a `UserError`, or one of these."""
        with self.watched():
            try:
                what()
            except (UserError, *expected) as error:
                self.refused.append(str(error))
        self.require_no_mark()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Notes the processes that start meanwhile, and what is asked of a network."""
        _watching.append(self.marks)
        try:
            yield
        finally:
            _watching.pop()

    def require_no_mark(self) -> None:
        self.marks += [f"made {found}" for found in self.loot.rglob("*")]
        assert not self.marks


class Payload:
    """Leaves a mark where it is unpickled."""

    def __init__(self, loot: Path) -> None:
        self.loot = loot

    def __reduce__(self) -> Any:
        return os.mkdir, (f"{self.loot}/mark",)


@pytest.fixture(scope="session")
def _hooked() -> None:
    with guarded():  # whose own hook comes first, so that what it stops is not seen here
        sys.addaudithook(_hook)  # which cannot be removed


@pytest.fixture
def attack(
    _hooked: None,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Attack]:
    """Counts in the table, under the route that the test's mark `route` names."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    loot = tmp_path / "loot"
    loot.mkdir()
    found = Attack(loot)
    yield found
    route = request.node.get_closest_marker("route")
    end = "marks" if found.marks else "refused" if found.refused else "harmless"
    record_property("attack", (route.args[0] if route else request.node.name, end))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "route(name): by which the payloads of a test come")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keeps a seeded sample of the payloads by each route; all of them by `make safety`."""
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
    parser.addoption("--table", action="store_true", help="print the payloads by their routes")


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
