"""Secrets are never written to files, but runs can use them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from arclight.config.build import build
from arclight.config.checks.check import check
from arclight.errors import UserError
from arclight.masking import from_environment, holds_secrets, is_secret, masked, masked_overrides
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
def test_model_arguments_are_not_secrets(key: str) -> None:
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


def test_overrides_are_masked() -> None:
    words = ["+logger.x.api_key=abc", "seed=1", "data.path=https://u:pw123456@h", "~model.x"]
    said = masked_overrides(words)
    assert said[0] == "+logger.x.api_key=${oc.env:ARCLIGHT_SECRET_LOGGER_X_API_KEY}"
    assert said[1::2] == words[1::2]
    assert "pw123456" not in said[2]


CANARIES = {
    name: f"canary-{name}-7f3a9c51e2"
    for name in ("variable", "dotenv", "typed", "address", "named", "source", "committed", "remote")
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project in git, with secrets in typical places."""
    place = tmp_path / "project"
    place.mkdir()
    for folder in ("configs", "src"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT / folder, place / folder, ignore=ignored)
    for file in ("train.py", "pyproject.toml", "requirements.lock", ".gitignore"):
        shutil.copy(PROJECT / file, place / file)
    (place / ".env").write_text(f"IN_DOTENV={CANARIES['dotenv']}\n")
    (place / "src" / "project" / "keys.py").write_text("api_key = None\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(place)]
    remote = f"https://someone:{CANARIES['remote']}@host/project.git"
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "a"]):
        subprocess.run([*git, *command], check=True)
    subprocess.run([*git, "remote", "add", "origin", remote], check=True)
    (place / "src" / "project" / "keys.py").write_text(f"api_key = {CANARIES['source']!r}\n")
    (place / "src" / "project" / "new.py").write_text(f"password = {CANARIES['committed']!r}\n")
    return place


def test_no_canary_is_in_a_file(project: Path, tmp_path: Path) -> None:
    def train(*words: str) -> tuple[int, str]:
        plain = [
            *("trainer.max_steps=2", "data.limit=64", "data.batch_size=32", "preflight=false"),
            *("logger=wandb", "logger.wandb.mode=offline", "hydra.verbose=true"),
            *(
                "logger.wandb.notes=${oc.env:VARIABLE}",
                "logger.wandb.tags=[a-${oc.env:IN_DOTENV}]",
            ),
            f"logger.wandb.group='https://u:{CANARIES['address']}@host'",
        ]
        env = {**os.environ, "VARIABLE": CANARIES["variable"], "WANDB_DEBUG": "true"}
        done = subprocess.run(
            [sys.executable, str(project / "train.py"), *plain, *words],
            cwd=tmp_path,
            env={**env, "PYTHONPATH": str(project / "src")},
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout + done.stderr

    def require_none(said: str) -> None:
        files = [f for f in tmp_path.rglob("*") if f.is_file() and not f.is_relative_to(project)]
        for name, value in CANARIES.items():
            assert value not in said, name
            hits = [str(file) for file in files if value.encode() in file.read_bytes()]
            assert not hits, name

    callback = "lightning.pytorch.callbacks.LambdaCallback"
    refused = (f"+callbacks.x._target_={callback}", f"+callbacks.x.password={CANARIES['typed']}")
    code, said = train("run_dir=refused", *refused)
    assert code == 2, said  # the callback takes no password
    require_none(said)
    raising = tmp_path / "project" / "src" / "project" / "raising.py"
    raising.write_text(RAISING)
    code, said = train(
        *("run_dir=failed", "+callbacks.x._target_=project.raising.Raising"),
        *(f"+callbacks.x.token={CANARIES['named']}", "+callbacks.x.place=${oc.env:VARIABLE}"),
    )
    assert code == 1, said
    require_none(said)
    assert "told <" not in said
    run = tmp_path / "failed"
    assert list(run.rglob("*.wandb"))
    assert "${oc.env:VARIABLE}" in (run / "config.yaml").read_text()
    assert "${oc.env:VARIABLE}" in (run / "overrides.yaml").read_text()
    manifest = (run / "manifest.json").read_text()
    assert "src/project/keys.py" in manifest
    assert "RuntimeError: told ${oc.env:" in (run / "train.log").read_text()


RAISING = """
from lightning.pytorch.callbacks import Callback

class Raising(Callback):
    \"\"\"Raises an error with its arguments, after the run has trained.\"\"\"

    def __init__(self, token: str, place: str) -> None:
        self.token, self.place = token, place

    def on_train_end(self, *_: object) -> None:
        raise RuntimeError(f"told {self.token} and {self.place}")
"""
