"""A run directory that was found: what is damaged or foreign in it is refused, by every command."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from arclight.errors import UserError
from arclight.files import write_text
from arclight.report.results import collect
from arclight.run_directory import RunDirectory, create
from arclight.use.evaluate import evaluate
from arclight.use.export import export
from arclight.use.generate import generate
from arclight.use.load import load
from arclight.use.predict import predict
from arclight.use.reproduce import reproduce
from tests.conftest import Composed

Command = Callable[[str], Any]

COMMANDS: dict[str, Command] = {
    "evaluate": evaluate,
    "predict": lambda run: predict(run, str(Path(run).parent)),
    "export": lambda run: export(run, "safetensors"),
    "generate": generate,
    "reproduce": reproduce,
    "load": load,
}
DAMAGE = {
    "empty": b"",
    "cut": b'{"status": [',
    "bytes": b"\xff\xfe\x00\x01",
    "a list": b"[1, 2]",
    "deep": b"[" * 100_000,
    "another's": b'{"a": 1}',
}


@pytest.fixture(scope="module")
def finished(composed: Composed, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run that says that it has finished; nothing in it was trained."""
    root = tmp_path_factory.mktemp("found")
    run = create(root / "run", root, "run", composed(), ["seed=0"], {})
    run.update_summary(status="finished", metrics={})
    return run


@pytest.fixture
def run(finished: RunDirectory, tmp_path: Path) -> RunDirectory:
    """A copy of it, to be damaged."""
    return RunDirectory(Path(shutil.copytree(finished.path, tmp_path / "run")))


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("file", ["config.yaml", "summary.json"])
@pytest.mark.parametrize("content", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_named(
    run: RunDirectory, command: Command, file: str, content: bytes
) -> None:
    (run.path / file).write_bytes(content)
    with pytest.raises(UserError, match=file):
        command(str(run.path))


@pytest.mark.parametrize("file", ["config.yaml", "summary.json", "manifest.json", "overrides.yaml"])
@pytest.mark.parametrize("content", list(DAMAGE.values())[:5], ids=list(DAMAGE)[:5])
def test_a_table_of_results_names_it_and_leaves_it_out(
    run: RunDirectory, file: str, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    if file == "overrides.yaml" and content.startswith(b"[1"):
        content = b"a: 1"
    (run.path / file).write_bytes(content)
    assert collect([run.path]) == []
    said = capsys.readouterr().err
    assert said.startswith(f"warning: {run.path} is left out")
    assert file in said


# Each writes a file or runs code where it is built.
FOREIGN: dict[str, Any] = {
    "a function of the engine": {"_target_": "arclight.files.write_text", "text": "x"},
    "of Python": {"_target_": "os.system", "command": "true"},
    "of its runtime": {"_target_": "builtins.exec", "_args_": ["1"]},
    "of a library": {"_target_": "torch.hub.load", "repo_or_dir": "x", "source": "local"},
    "a class method": {"_target_": "transformers.BertModel.from_pretrained", "trust": True},
    "partial": {"_target_": "os.system", "_partial_": True},
    "in a list": [{"_target_": "subprocess.Popen", "args": ["true"]}],
    "nested": {"x": {"_target_": "torch.nn.Sequential", "_args_": [{"_target_": "os.system"}]}},
    "in a part": {"_target_": "torch.nn.ReLU", "inplace": {"_target_": "os.system"}},
    "private": {"_target_": "torch._dynamo.config.x"},
    "by dunder": {"_target_": "torch.nn.Module.__init__.__globals__"},
    "re-exported": {"_target_": "arclight.files.shutil.rmtree", "path": "x"},
    "no target": {"_target_": ["os.system"]},
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("node", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("group", ["model", "data", "callbacks"])
def test_a_foreign_part_of_the_config_is_refused(
    run: RunDirectory, command: Command, node: Any, group: str
) -> None:
    config = run.config
    config[group]["found"] = node
    write_text(run.config_file, yaml.safe_dump(config))
    with pytest.raises(UserError, match=rf"config\.yaml: .*{group}\.found"):
        command(str(run.path))
