"""Errors before training, and the output of a dry run."""

import re
from pathlib import Path

import pytest
import yaml

from arclight.errors import UserError
from arclight.search.slots import slots_of
from tests.conftest import options
from tests.search.conftest import Searched

TINY = "search=tiny"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("+search.space={optimizer.lrr:{low:1.0,high:2.0}}", "did you mean optimizer.lr?"),
        ("+search.space={optimizer.betas:{choices:[3]}}", "optimizer.betas=3 should be a list"),
        ("+search.space={model.widths:{choices:[a]}}", "model.widths=a should be a list"),
        ("+search.space={optimizer:{choices:[adam]}}", "optimizer=adam does not exist"),
        (
            "+search.space={optimizer:{choices:[adamw,sgd]},optimizer.momentum:{low:0.1,high:0.9}}",
            "optimizer.momentum is not a key",
        ),
        ("search.sampler=bayes", "search.sampler=bayes should be tpe or random"),
        ("search.n_trials=0", "search.n_trials=0 should be a whole number of 1 or more"),
        ("search.sampler=grid", "optimizer.lr has no points for a grid"),
        ("search.seeds=[1,1]", "different seeds"),
        ("search.gpus_per_trial=1.5", "a whole number of GPUs"),
        ("run_dir=x", "search.dir=PATH"),
        ("resume=x", "search.dir=PATH"),
        (
            "search.objectives=[{metric:test/accuracy,direction:maximize}]",
            "type val/accuracy",
        ),
        ("search.objectives=[{metric:val/loss,direction:min}]", "minimize or maximize"),
        ("search.objectives=[{metric:loss,direction:minimize}]", "choose a validation metric"),
        ("trainer.num_nodes=2", "one machine"),
    ],
)
def test_an_invalid_search_is_a_user_error_and_creates_nothing(
    searched: Searched, override: str, said: str
) -> None:
    with pytest.raises(UserError) as error:
        searched(TINY, override)
    assert said in str(error.value)
    assert not list(Path().iterdir())


def test_several_objectives_are_not_pruned(searched: Searched) -> None:
    two = "{metric:val/loss,direction:minimize},{metric:parameters,direction:minimize}"
    with pytest.raises(UserError, match="needs a single objective"):
        searched(TINY, f"search.objectives=[{two}]", "search.pruner=asha")


@pytest.mark.parametrize("name", options("search"))
def test_shipped_searches_are_valid(
    name: str, searched: Searched, capsys: pytest.CaptureFixture[str]
) -> None:
    assert searched(f"search={name}", "search.dry_run=true") == 0
    configs = list(yaml.safe_load_all(capsys.readouterr().out.replace("# trial", "---\n# trial")))
    shown = [c for c in configs if c]
    assert len(shown) == 3
    assert all("wandb" in config["logger"] for config in shown)
    assert not list(Path().iterdir())


def test_conditions_hold_in_the_trials_configs(
    searched: Searched, capsys: pytest.CaptureFixture[str]
) -> None:
    momentum = "{low:0.5,high:0.99,when:{optimizer:sgd}}"
    space = f"+search.space={{optimizer:{{choices:[sgd]}},optimizer.momentum:{momentum}}}"
    assert searched(TINY, space, "search.dry_run=true") == 0
    said = capsys.readouterr().out
    assert said.count("arclight.training.optimizers.sgd") == 3
    assert "momentum: 0.9\n" not in said
    assert re.search(r"# trial 0 of 4: .* optimizer=sgd optimizer.momentum=0\.", said)


@pytest.mark.parametrize(
    ("each", "workers", "expected"),
    [
        (0.3, None, "000111"),  # three on each, never a part of one and a part of the next
        (0.5, 3, "001"),
        (1, None, "01"),
        (2, None, ["0,1"]),
    ],
)
def test_trials_share_gpus_without_crossing_them(
    monkeypatch: pytest.MonkeyPatch, each: float, workers: int | None, expected: str | list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    gpu = {"trainer": {"accelerator": "gpu"}}
    slots = slots_of(workers, each, gpu, "search")
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in slots] == list(expected)
    with pytest.raises(UserError, match=r"type search\.workers="):
        slots_of(7, each, gpu, "search")
