"""`explain=KEY` shows where values were set; `check=only` only checks the config."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from arclight.config.checks.check import check
from arclight.config.checks.fault import ConfigError
from arclight.config.compose import freeze_as_composed
from arclight.config.help.explain import explain
from arclight.config.help.located import check_typed
from arclight.errors import UserError
from tests.conftest import CONFIGS, PROJECT


def explained(path: str, overrides: Sequence[str]) -> str:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        cfg = compose("train", list(overrides), return_hydra_config=True)
        return explain(cfg, path, overrides)


def line_of(file: str, text: str) -> str:
    """`configs/FILE:LINE` of the first line that begins with the text."""
    lines = (CONFIGS / file).read_text().splitlines()
    place = next(i for i, line in enumerate(lines, 1) if line.strip().startswith(text))
    return f"configs/{file}:{place}"


def test_each_file_and_override_has_a_line() -> None:
    output = explained(
        "trainer.max_epochs", ["model=bert_masked", "trainer=ddp_cpu", "trainer.max_epochs=3"]
    ).splitlines()
    assert output[0] == "trainer.max_epochs = 3"
    assert "40" in output[1]
    assert line_of("trainer/cpu.yaml", "max_epochs") in output[1]
    assert line_of("model/bert_masked.yaml", "max_epochs") in output[2]
    assert "typed model=bert_masked" in output[2]
    assert output[3].endswith("typed: trainer.max_epochs=3")


def test_interpolations_are_followed() -> None:
    output = explained("callbacks.early_stopping.monitor", ["model=vit"])
    assert "${callbacks.checkpoints.monitor}" in output
    assert "  callbacks.checkpoints.monitor = val/accuracy" in output
    assert line_of("task/image_classification.yaml", "monitor") in output


def test_group_shows_its_origin_and_each_key() -> None:
    output = explained("model", ["experiment=digits_vit"])
    assert output.startswith("model=vit is the option: model=vit in configs/experiment/digits_vit")
    assert "  model.n_heads = " in output


def test_a_secret_is_not_shown() -> None:
    assert "hunter22" not in explained("data.api_key", ["+data.api_key=hunter22"])


def test_unknown_key_gets_a_suggestion() -> None:
    with pytest.raises(UserError, match=r"did you mean trainer\.max_epochs"):
        explained("trainer.max_epoch", [])


def faults(*overrides: str) -> list[str]:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = freeze_as_composed(compose("train", list(overrides), return_hydra_config=True))
        with pytest.raises(ConfigError):
            check(config)
        with pytest.raises(UserError) as output:
            check_typed(config, overrides)
    return str(output.value).splitlines()


def test_fault_of_a_file_is_reported_with_the_file() -> None:
    (output,) = faults("model=bert_masked", "optimizer=sgd")
    assert "optimizer.betas is unknown to sgd" in output
    assert "~optimizer.betas" in output
    assert line_of("model/bert_masked.yaml", "betas") in output


@pytest.mark.parametrize(
    ("overrides", "mode"),
    [
        (["callbacks.checkpoints.monitor=val/loss"], "min"),
        (["task=image_regression", "callbacks.checkpoints.monitor=val_acc"], "max"),
    ],
)
def test_the_worst_value_of_a_metric_cannot_select_the_best_checkpoint(
    overrides: list[str], mode: str
) -> None:
    words = [*overrides, f"callbacks.checkpoints.mode={mode}"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        wrong = freeze_as_composed(compose("train", overrides, return_hydra_config=True))
        right = freeze_as_composed(compose("train", words, return_hydra_config=True))
        check_typed(right, words)
        with pytest.raises(UserError, match=f"type callbacks.checkpoints.mode={mode}"):
            check_typed(wrong, overrides)


def test_override_that_adds_a_key_should_be_left_out() -> None:
    (output,) = faults("+data.zzz=1")
    assert output.endswith("Leave out +data.zzz=1.")


def test_key_interpolated_from_a_faulty_one_is_not_reported() -> None:
    assert faults("seed=x") == ["seed=x should be a whole number from 0 to 4294967295."]


def train(folder: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(PROJECT / "train.py"), *overrides],
        capture_output=True,
        text=True,
        cwd=folder,
    )


def test_faults_of_hydra_and_of_the_check_are_reported_together(tmp_path: Path) -> None:
    done = train(tmp_path, "=3", "model=null", "trainer.max_epoch=3", "optimizer.lr=x", "seed=-1")
    assert done.returncode == 2
    output = done.stderr.splitlines()
    assert output[0].startswith("error: =3 is not of the form")
    assert [line.split(" ")[0] for line in output[1:]] == [
        *("model=null", "trainer.max_epoch", "seed=-1", "optimizer.lr=x"),
    ]


def test_check_only_reads_no_data_and_writes_nothing(tmp_path: Path) -> None:
    done = train(tmp_path, "check=only", "data=image_folder", "data.path=/not/there")
    assert done.returncode == 0, done.stderr
    assert "is valid" in done.stdout
    assert not list(tmp_path.iterdir())


def test_multirun_checks_each_job(tmp_path: Path) -> None:
    done = train(tmp_path, "-m", "check=only", "optimizer.lr=fast,0.1,slow", "seed=0,-1")
    assert done.returncode == 2
    assert done.stdout.count("is valid") == 1
    for said, count in (("lr=fast", 2), ("lr=slow", 2), ("seed=-1", 3)):
        assert done.stderr.count(f"{said} should be") == count
    assert not list(tmp_path.iterdir())


def test_multirun_reports_each_option_that_does_not_exist(tmp_path: Path) -> None:
    done = train(tmp_path, "-m", "check=only", "model=cnn,nope,none", "optimizer.lr=0.1,fast")
    assert done.returncode == 2
    faults = [line.split(" ")[0] for line in done.stderr.removeprefix("error: ").splitlines()]
    assert faults == ["model=nope", "model=none", "optimizer.lr=fast"]
