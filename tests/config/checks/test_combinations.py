"""Settings that cannot train together are rejected before any data are read."""

from typing import Any

import pytest

from arclight.config.checks.check import check
from arclight.config.checks.combinations import faults_of_combinations
from arclight.errors import UserError
from tests.conftest import Composed


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["trainer.max_epochs=-1"], "never ends: type trainer.max_epochs=N or trainer.max_steps"),
        (["trainer.max_epochs=null"], "trainer.max_epochs=null with trainer.max_steps=-1 never"),
        (["data=image_folder", "data.path=''"], "data.path is empty: type data.path=PATH."),
        (["trainer=ddp_cpu", "trainer.devices=9"], "among trainer.devices=9: type data.batch"),
        (["trainer=ddp_cpu", "trainer.devices=[0,1,2]"], "equally among trainer.devices=3"),
        (["trainer.accumulate_grad_batches=5"], "and trainer.accumulate_grad_batches=5"),
        (["trainer=ddp_cpu", "trainer.num_nodes=3"], "and trainer.num_nodes=3: type data.batch_si"),
    ],
)
def test_error_says_what_to_type(composed: Composed, overrides: list[str], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        check(composed(*overrides))
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    "overrides",
    [
        ["trainer.max_epochs=-1", "trainer.max_steps=3"],
        ["trainer.max_epochs=null", "trainer.max_time='00:00:01:00'"],
        ["trainer=ddp_cpu", "trainer.devices=4", "trainer.accumulate_grad_batches=2"],
        ["trainer=ddp", "trainer.devices=auto"],
    ],
)
def test_valid_combinations_pass(composed: Composed, overrides: list[str]) -> None:
    assert not list(faults_of_combinations(composed(*overrides)))


def test_malformed_configs_do_not_raise_here() -> None:
    odd: list[dict[str, Any]] = [
        {},
        {"trainer": None, "data": 3},
        {"trainer": {"devices": "x"}, "data": {"_target_": 3, "batch_size": "y"}},
    ]
    for config in odd:
        list(faults_of_combinations(config))
