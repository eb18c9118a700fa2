"""The default config as fixtures."""

import copy
from typing import Any

import pytest

from tests.conftest import Composed


@pytest.fixture(scope="session")
def default(composed: Composed) -> dict[str, Any]:
    """The config of `python train.py`; tests must not change it."""
    return composed()


@pytest.fixture
def config(default: dict[str, Any]) -> dict[str, Any]:
    """A copy of the default config, which tests may change."""
    return copy.deepcopy(default)
