"""A frozen config is plain, resolved, and without secrets."""

import pytest
from omegaconf import OmegaConf

from arclight.config.freeze import MASK, differences, freeze
from arclight.errors import UserError


def test_interpolations_are_resolved_and_command_keys_left_out() -> None:
    cfg = OmegaConf.create({"seed": 3, "data": {"seed": "${seed}"}, "run_dir": "x", "resume": None})
    assert freeze(cfg) == {"seed": 3, "data": {"seed": 3}}


def test_secrets_never_reach_the_disk() -> None:
    cfg = OmegaConf.create({"logger": {"api_key": "s3cret", "token": "t", "tokens": 5, "key": "k"}})
    assert freeze(cfg)["logger"] == {"api_key": MASK, "token": MASK, "tokens": 5, "key": "k"}


def test_an_interpolation_that_leads_nowhere_is_a_sentence() -> None:
    with pytest.raises(UserError, match="does not resolve"):
        freeze(OmegaConf.create({"a": "${nowhere}"}))


def test_differences_name_each_key_once() -> None:
    old, new = {"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}, "d": 4}
    assert differences(old, new) == ["a.c: 2 -> 3", "d: (absent) -> 4"]
