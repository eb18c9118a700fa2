"""Overrides that Hydra cannot parse are quoted, or an error says what to type."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException

from arclight.config.entry import plain_errors
from arclight.config.help.hydra_errors import in_a_sentence
from arclight.config.overrides import quoted
from arclight.errors import UserError
from tests.conftest import CONFIGS


@pytest.mark.parametrize(
    "value",
    ["/tmp/éléments", "runs/mon écran ü", "数据", "/tmp/Ann's", "~/set 2", "a#b&c", "seed=0", "x'"],
)
def test_value_that_hydra_cannot_parse_is_quoted(value: str) -> None:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        overrides = quoted([f"data.path={value}", "seed=1", "run_dir='a b'", "++x=[ä,b]"][:3])
        cfg = compose("train", overrides=overrides)
    assert cfg.data.path == value
    assert cfg.run_dir == "a b"


def test_brackets_are_quoted_in_paths_that_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert quoted(["data.path=a (2"]) == ["data.path=a (2"]  # with an error that says what to type
    Path("a (2").mkdir()
    assert quoted(["data.path=a (2"]) == ["data.path='a (2'"]


def test_overrides_that_hydra_parses_are_unchanged() -> None:
    overrides = ["seed=0,1", "data.path='é'", "x=[é,b]", "~model", "-m", "--config-dir=/é"]
    assert quoted(overrides) == overrides


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("model", "model is not of the form KEY=VALUE"),
        ("model.activation_checkpointing=true", "choose another model that has it: auto, bert,"),
        ("run_dir=a(b", "type 'run_dir=\"a(b\"' with all its quotes."),
        ("seed=0,1", "type -m seed=0,1 to run each, 'seed=[0,1]' for a list, or 'seed=\"0,1\"'"),
    ],
)
def test_error_for_unparsable_overrides(override: str, sentence: str) -> None:
    with (
        initialize_config_dir(str(CONFIGS), version_base="1.3"),
        pytest.raises(HydraException) as caught,
    ):
        compose("train", overrides=[override])
    assert sentence in in_a_sentence(caught.value)


def test_config_that_is_not_yaml_is_a_user_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train.yaml").write_text("a: 1\nb: [\n")
    with (
        pytest.raises(SystemExit) as end,
        plain_errors(),
        initialize_config_dir(str(tmp_path), version_base="1.3"),
    ):
        compose("train")
    assert end.value.code == 2
    assert "train.yaml, line 3, is not valid YAML" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        (
            "model=null",
            "model=null is not one of its choices: type model=NAME: the choices are auto",
        ),
        ("trainer=null", "type trainer=NAME: the choices are cpu, ddp"),
        (
            "callbacks=null",
            r"choices are default, lr_monitor\. callbacks\.NAME=null leaves one",
        ),
        ("model=[1,2]", "is not one of its choices: type model=NAME"),
        ("model={a: 1}", "is not one of its choices: type model=NAME"),
        ("model=", "model= is not one of its choices"),
        ("=3", "=3 is not of the form KEY=VALUE"),
    ],
)
def test_group_needs_a_name(override: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        quoted(["seed=1", override])


def test_several_options_and_empty_values_are_unchanged() -> None:
    overrides = [
        "logger=[csv,wandb]",
        "~model",
        "run_dir=null",
        "model.d_ff=null",
        "model.widths=[1]",
    ]
    assert quoted(overrides) == overrides


def test_existing_choice_needs_no_plus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["train.py", "+experiment=digits_cnn"])
    with (
        initialize_config_dir(str(CONFIGS), version_base="1.3"),
        pytest.raises(HydraException) as caught,
    ):
        compose("train", overrides=["+experiment=digits_cnn"])
    assert in_a_sentence(caught.value).endswith(": type experiment=digits_cnn.")


def test_none_is_null_in_a_config() -> None:
    with pytest.raises(UserError, match="so type run_dir=null"):
        quoted(["run_dir=None"])
