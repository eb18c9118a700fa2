"""A config to change."""

import copy
from typing import Any

import pytest

from tests.conftest import Composed


@pytest.fixture(scope="session")
def default(composed: Composed) -> dict[str, Any]:
    """The config of `python train.py`; not to be changed."""
    return composed()


@pytest.fixture
def config(default: dict[str, Any]) -> dict[str, Any]:
    """The same, to be changed."""
    return copy.deepcopy(default)
