"""What no file may hold is in none, and what runs has it all the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from arclight.config.build import build
from arclight.config.check import check
from arclight.errors import UserError
from arclight.masking import from_environment, holds_secrets, is_secret, masked, masked_words
from tests.conftest import CONFIGS, PROJECT, Composed

CANARY = "canary-7f3a9c51e2"

SECRET = [
    *("api_key", "apikey", "passwd", "password", "access_key", "aws_secret_access_key", "token"),
    *(
        "private_key",
        "auth",
        "bearer",
        "credentials",
        "hf_token",
        "auth_token",
        "tokens",
        "API_KEY",
    ),
    *("client_secret", "passphrase", "bot_token", "wandb_api_key"),
]
PLAIN = [
    *("pad_token", "bos_token", "eos_token", "mask_token", "unk_token", "max_tokens", "key"),
    *("keys", "author", "tokenizer", "n_tokens", "keyboard", "password_length", "path", "monitor"),
]


@pytest.mark.parametrize("key", SECRET)
def test_a_key_is_known_by_its_name(key: str) -> None:
    assert is_secret(key, "abc")


@pytest.mark.parametrize("key", PLAIN)
def test_what_a_model_needs_is_none(key: str) -> None:
    assert not is_secret(key, "<|endoftext|>")


@pytest.mark.parametrize(
    "value",
    [
        "https://user:secret@host/data",
        "hf_" + "a1" * 17,
        "AKIA" + "A1" * 8,
        "-----BEGIN RSA PRIVATE KEY-----",
        "ghp_" + "a1" * 18,
    ],
)
def test_a_value_is_known_by_its_look(value: str) -> None:
    assert is_secret("path", value)
    assert holds_secrets(f"x = {value!r}")


def test_no_key_that_ships_is_a_secret() -> None:
    for file in CONFIGS.rglob("*.yaml"):
        assert not holds_secrets(file.read_text()), file


def test_the_config_says_where_a_value_comes_from(
    composed: Composed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", CANARY)
    monkeypatch.setenv("RATE", "0.25")
    config = composed(
        "data.path=${oc.env:CANARY}",
        "data.image_column=a-${oc.env:CANARY}",
        "data.label_column=${oc.env:NOT_SET,label}",
        "optimizer.lr='${oc.decode:${oc.env:RATE}}'",
        "+logger.mlflow={_target_: lightning.pytorch.loggers.MLFlowLogger}",
        f"+logger.mlflow.tracking_uri='https://a:{CANARY}@host'",
    )
    check(config)
    assert config["data"]["path"] == "${oc.env:CANARY}"
    assert config["data"]["image_column"] == "a-${oc.env:CANARY}"
    assert config["data"]["label_column"] == "label"
    assert config["optimizer"]["lr"] == 0.25
    assert CANARY not in str(config)
    assert from_environment(config["data"]["path"]) == CANARY
    assert from_environment(config["logger"]["mlflow"])["_target_"]
    uri = config["logger"]["mlflow"]["tracking_uri"]
    assert from_environment(uri) == f"https://a:{CANARY}@host"
    assert masked(f"a {CANARY} b") == "a ${oc.env:CANARY} b"


def test_what_is_built_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    node = {"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 3}
    with pytest.raises(UserError, match="NOT_SET is not set in the environment"):
        build({**node, "device": "${oc.env:NOT_SET}"})
    monkeypatch.setenv("DEVICE", "meta")
    assert build({**node, "device": "${oc.env:DEVICE}"}).weight.is_meta


def test_words_are_masked() -> None:
    words = ["+logger.x.api_key=abc", "seed=1", "data.path=https://u:pw123456@h", "~model.x"]
    said = masked_words(words)
    assert said[0] == "+logger.x.api_key=${oc.env:ARCLIGHT_SECRET_LOGGER_X_API_KEY}"
    assert said[1::2] == words[1::2]
    assert "pw123456" not in said[2]


def test_a_canary_is_in_no_file(tmp_path: Path) -> None:
    words = [
        *("trainer.max_steps=2", "data.limit=64", "data.batch_size=32", "preflight=false"),
        *("logger=wandb", "logger.wandb.mode=offline", "model.pretrained=null"),
        *("logger.wandb.notes=${oc.env:CANARY}", f"+callbacks.x.password={CANARY}"),
        "+callbacks.x._target_=lightning.pytorch.callbacks.LambdaCallback",
    ]
    command = [sys.executable, str(PROJECT / "train.py"), "run_dir=run", *words]
    env = {**os.environ, "CANARY": CANARY}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 2  # the callback takes no password
    assert CANARY not in done.stderr
    command = [word for word in command if "callbacks.x" not in word]
    done = subprocess.run(
        [*command, f"logger.wandb.group='https://u:{CANARY}@host'"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for file in tmp_path.rglob("*"):
        if file.is_file() and file.parent.name != "checkpoints" and "wandb" not in file.parts:
            assert CANARY.encode() not in file.read_bytes(), file
    assert "${oc.env:CANARY}" in (tmp_path / "run" / "config.yaml").read_text()
    assert "${oc.env:CANARY}" in (tmp_path / "run" / "overrides.yaml").read_text()
