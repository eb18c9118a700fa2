"""Configs of untrusted runs: no payload in them has an effect, with any command."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

from arclight.files import write_text
from arclight.run.execute import execute
from arclight.run_directory import RunDirectory, create
from tests.conftest import Composed
from tests.safety.commands import COMMANDS, READING, data_of, resume, without_checkpoints
from tests.safety.conftest import Attack, Payload
from tests.safety.payloads import LATER, MNIST, MODELS, REFUSED, of_python

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def trained(composed: Composed, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    root = tmp_path_factory.mktemp("attacked")
    words = ("data.limit=64", "data.batch_size=32", "trainer.max_epochs=1", "preflight=false")
    run = create(root / "run", root, "run", composed(*words), ["seed=0"], {})
    assert execute(run) == 0
    return run


@pytest.fixture
def run(trained: RunDirectory, tmp_path: Path) -> RunDirectory:
    """A copy of the run, next to an image."""
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    return RunDirectory(Path(shutil.copytree(trained.path, tmp_path / "run")))


def planted(run: RunDirectory, attack: Attack, change: Change) -> None:
    """Changes the run's config, and inserts the paths into its payloads."""
    weights = run.path.parent / "weights.pt"
    torch.save({"state_dict": Payload(attack.loot)}, weights)
    config = run.config
    change(config)
    text = yaml.safe_dump(config, sort_keys=False, width=10_000, allow_unicode=True)
    write_text(
        run.config_file, text.replace("LOOT", str(attack.loot)).replace("PICKLE", str(weights))
    )


@pytest.mark.route("config: a part that may not be built")
@pytest.mark.parametrize(("number", "node"), [*enumerate(REFUSED.values())], ids=REFUSED)
def test_forbidden_targets_are_rejected(
    run: RunDirectory, attack: Attack, number: int, node: Any
) -> None:
    building = [command for name, command in COMMANDS.items() if name not in READING]
    for group in ("model", "data", "callbacks"):  # each with another command
        planted(run, attack, lambda config, group=group: config[group].update(found=node))
        number += 1
        attack.attempt(lambda at=number: building[at % len(building)](str(run.path)))
    assert len(attack.refused) == 3
    assert all("config.yaml: " in said and ".found" in said for said in attack.refused)


@pytest.mark.route("config: a class of a library as the model")
@pytest.mark.parametrize("node", MODELS.values(), ids=MODELS)
def test_a_library_only_reads(run: RunDirectory, attack: Attack, node: Any) -> None:
    planted(run, attack, lambda config: config.update(model=node))
    attack.attempt(lambda: COMMANDS["evaluate"](str(run.path)))
    without_checkpoints(run)
    attack.attempt(lambda: resume(str(run.path)), RuntimeError)


DATA = "lightning.pytorch.demos.mnist_datamodule.MNISTDataModule"
BORING = "lightning.pytorch.demos.boring_classes.BoringModel"
NEEDLESS = ("model", "optimizer", "scheduler", "finetune")


def use_boring_model(config: dict[str, Any]) -> None:
    for key in NEEDLESS:
        config.pop(key, None)
    config["task"] = {"_target_": BORING}
    config["data"] = {"_target_": DATA, "data_dir": "LOOT/data"}
    config["callbacks"] = {"bar": None}


KEYS: dict[str, Change] = {
    "data that download": use_boring_model,
    "a cache elsewhere": lambda c: c["data"].update(cache="LOOT/cache"),
    "data of the hub": lambda c: c["data"].update(path="a/b"),
    "data by an address": lambda c: c["data"].update(path="http://127.0.0.1:9/a.csv"),
    "weights of the hub": lambda c: c["model"].update(pretrained="a/b"),
    "weights that are a pickle": lambda c: c["model"].update(pretrained="PICKLE"),
    "weights by an address": lambda c: c["model"].update(pretrained="http://127.0.0.1:9/a"),
    "a folder for runs": lambda c: c.update(runs="LOOT/runs"),
    "a name that is a path": lambda c: c.update(name="../loot/mark"),
    "an optimizer of Python": lambda c: c.update(optimizer=of_python()),
    "a schedule of Python": lambda c: c.update(scheduler=of_python()),
    "a task of Python": lambda c: c.update(task=of_python()),
    "a trainer of Python": lambda c: c.update(trainer=of_python()),
    "a search in a run": lambda c: c.update(search=of_python()),
    "a profiler in the trainer": lambda c: c["trainer"].update(profiler=of_python()),
    "plugins in the trainer": lambda c: c["trainer"].update(plugins=[of_python()]),
    "a callback's partial": lambda c: c["callbacks"].update(
        x={
            "_target_": "lightning.pytorch.callbacks.LambdaCallback",
            "on_train_start": LATER,
        }
    ),
    "a data set among the callbacks": lambda c: c["callbacks"].update(x=MNIST),
    "keys of Hydra": lambda c: c.update(hydra={"job_logging": of_python()}),
    "defaults": lambda c: c.update(defaults=[{"override /model": "LOOT"}]),
    "a variable as target": lambda c: c["model"].update(_target_="${oc.env:HOME}"),
    "a resolver as target": lambda c: c["model"].update(_target_="${oc.decode:os.system}"),
    "an interpolation": lambda c: c["model"].update(found="${data}"),
}


@pytest.mark.route("config: a key of it")
@pytest.mark.parametrize("change", KEYS.values(), ids=KEYS)
def test_no_key_reaches_outside(run: RunDirectory, attack: Attack, change: Change) -> None:
    planted(run, attack, change)
    attack.attempt(lambda: COMMANDS["evaluate"](str(run.path)))
    attack.attempt(lambda: data_of(str(run.path)))
    without_checkpoints(run)
    attack.attempt(lambda: resume(str(run.path)), RuntimeError)


TAGS = {
    "apply": "!!python/object/apply:os.mkdir ['LOOT/mark']",
    "new": "!!python/object/new:os.mkdir ['LOOT/mark']",
    "a module": "!!python/module:antigravity",
    "a name": "!!python/name:os.system",
}


@pytest.mark.route("YAML: tags of Python")
@pytest.mark.parametrize("file", ["config.yaml", "overrides.yaml"])
@pytest.mark.parametrize("tag", TAGS.values(), ids=TAGS)
def test_yaml_tags_are_ignored(run: RunDirectory, attack: Attack, file: str, tag: str) -> None:
    text = f"- {tag}" if file == "overrides.yaml" else f"model: {tag}"
    (run.path / file).write_text(text.replace("LOOT", str(attack.loot)))
    for command in ("evaluate", "results") if file == "config.yaml" else ("reproduce", "results"):
        attack.attempt(lambda command=command: COMMANDS[command](str(run.path)))
    assert len(attack.refused) == 2


FACTS = {
    "of Python": {"kind": "os.system", "command": "touch LOOT/mark"},
    "of the engine": {"kind": "arclight.files.write_text", "path": "LOOT/mark"},
    "of another kind": {"kind": "arclight_zoo.image.cnn.CNN", "widths": [1]},
    "of a library": {"kind": "torchvision.datasets.MNIST", "root": "LOOT", "download": True},
    "none": {},
}


@pytest.mark.route("manifest: what kind of facts")
@pytest.mark.parametrize("facts", FACTS.values(), ids=FACTS)
def test_only_facts_are_built_from_a_manifest(
    run: RunDirectory, attack: Attack, facts: Any
) -> None:
    run.update_manifest(data=facts)
    for command in ("predict", "export"):
        attack.attempt(lambda command=command: COMMANDS[command](str(run.path)))
    assert len(attack.refused) == 2
    assert all("manifest.json" in said for said in attack.refused)
