"""`pyproject.toml` and the place of a definition decide which targets may be built."""

from typing import Any

import pytest

from arclight.config import project
from arclight.config.build import build, find
from arclight.config.checks.allowed import TargetError, refusal
from arclight.config.checks.check import check
from arclight.errors import UserError
from tests.conftest import Composed, Package

ATTACKS = [
    "os.system",
    "subprocess.run",
    "builtins.eval",
    "builtins.exec",
    "functools.partial",
    "pickle.loads",
    "importlib.import_module",
    "arclight.files.write_text",
    "arclight.files.os.system",
    "arclight.provenance.manifest.subprocess.run",
    "arclight.config.build.importlib.import_module",
    "arclight.config.build.build",
    "arclight.config.build.find",
    "arclight.training.checkpoint_files.read",
    "torch.load",
    "torch.save",
    "torch.hub.load",
    "torch.utils.collect_env.run",
    "torch.serialization.load",
    "torch.nn.Module.__init__",
    "torch.nn.Module.__class__",
    "torch.optim.RMSprop.__init__.__globals__",
    "torch.nn.modules.module.os.system",
    "torch.utils.data.DataLoader",
    "timm.models._hub.load_state_dict_from_hf",
    "timm.create_model.__globals__",
    "torchvision.models.os.system",
    "torchvision.models._api.get_model",
    "torchvision.datasets.utils.download_url",
    "lightning.Fabric",
    "lightning.pytorch.cli.LightningCLI",
    "transformers.AutoModel.from_pretrained",
    "transformers.pipeline",
    "mylab.tools.load",  # a re-export of torch.load
    "mylab.tools.Alias",
    "mylab.tools.os.system",
    "mylab.tools.Net.forward",
]

NODES = [
    ("callbacks", lambda target: {"x": {"_target_": target}}),
    ("logger", lambda target: {"x": {"_target_": target}}),
    ("model", lambda target: {"_target_": target}),
    ("finetune", lambda target: {"_target_": target}),
    ("trainer", lambda target: {"_target_": target}),
    (
        "model",
        lambda target: {
            "_target_": "torch.nn.Sequential",
            "_args_": [{"_target_": target, "_partial_": True}],
        },
    ),
    (
        "callbacks",
        lambda target: {
            "x": {
                "_target_": "lightning.pytorch.callbacks.LambdaCallback",
                "setup": {"_target_": target, "_partial_": True},
            }
        },
    ),
    (
        "model",
        lambda target: {
            "_target_": "torchvision.transforms.v2.Compose",
            "transforms": [{"deep": [{"_target_": target}]}],
        },
    ),
]


def tools(package: Package) -> None:
    package(
        tools="""
            import os
            from torch import load, nn
            Alias = load

            class Net(nn.Module):
                def forward(self, x): return x
        """
    )


@pytest.mark.parametrize("target", ATTACKS)
def test_targets_that_are_not_allowed_are_not_built(package: Package, target: str) -> None:
    tools(package)
    reason = refusal(target)
    assert reason is not None
    assert reason.endswith((".", "?"))
    with pytest.raises(TargetError):
        build({"_target_": target})
    with pytest.raises(TargetError):
        find(target)


@pytest.mark.parametrize(("group", "node"), NODES)
@pytest.mark.parametrize("target", ["arclight.files.write_text", "os.system", "torch.load"])
def test_check_finds_them_at_any_depth(
    config: dict[str, Any], group: str, node: Any, target: str
) -> None:
    config[group] = node(target)
    with pytest.raises(UserError, match=f"_target_={target} "):
        check(config)


@pytest.mark.parametrize("node", [node for group, node in NODES if group in ("model", "finetune")])
def test_build_finds_them_at_any_depth(node: Any) -> None:
    with pytest.raises(TargetError, match=r"arclight\.files\.write_text"):
        build(node("arclight.files.write_text"))


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ("arclight.training.optimizers.adamw", "Optimizer"),
        ("arclight.training.callbacks.early_stopping", "Callback"),  # -> Callback | None
        ("arclight.training.trainer.make_trainer", "Trainer"),
        ("torch.optim.RMSprop", "Optimizer"),
        ("torch.optim.lr_scheduler.ReduceLROnPlateau", "LRScheduler"),
        ("timm.optim.Lion", "Optimizer"),
        ("lightning.pytorch.loggers.CSVLogger", "Logger"),
        ("lightning.pytorch.callbacks.LearningRateMonitor", "Callback"),
        ("lightning.pytorch.strategies.DDPStrategy", "Strategy"),
        ("lightning.pytorch.plugins.MixedPrecision", "Plugin"),
        ("lightning.pytorch.plugins.environments.SLURMEnvironment", "Plugin"),
        ("lightning.pytorch.profilers.SimpleProfiler", "Profiler"),
        ("lightning.Trainer", "Trainer"),
        ("lightning.pytorch.Trainer", "Trainer"),
        ("torchmetrics.classification.MulticlassF1Score", "Metric"),
        ("torchmetrics.F1Score", "Metric"),
        ("torchmetrics.MetricCollection", "Metric"),
        ("torchvision.transforms.v2.Compose", "Transform"),
        ("torchvision.transforms.ToTensor", "Transform"),
        ("torchvision.datasets.ImageFolder", "Dataset"),
        ("torch.utils.data.WeightedRandomSampler", "Sampler"),
        ("torch.nn.CrossEntropyLoss", "Module"),
        ("timm.create_model", "Module"),
        ("torchvision.models.resnet18", "Module"),
        ("mylab.tools.Net", "Module"),
    ],
)
def test_allowed_targets(package: Package, target: str, wanted: str) -> None:
    tools(package)
    assert refusal(target, wanted) is None


@pytest.mark.parametrize(
    ("target", "wanted", "sentence"),
    [
        (
            "mynets.small.Small",
            "Module",
            'If mynets is your own package, add "mynets" to packages under [tool.arclight] in '
            "pyproject.toml",
        ),
        (
            "torch.hub.load",
            "Module",
            "is a function: only classes of modules, optimizers",
        ),
        ("torch.hub.load", None, 'add "torch.hub.load" to libraries under [tool.arclight]'),
        ("torch.optim.RMSprop2", None, "did you mean torch.optim.RMSprop?"),
        ("torch.optim.Adam", "LRScheduler", "put it in configs/optimizer/ and type optimizer=NAME"),
        ("mylab.tools.Nett", "Module", "mylab.tools defines no class or function Nett"),
        ("arclight.nowhere.Thing", "Module", "does not exist"),
        ("arclight.files.write_text", None, "the engine allows only models, tasks"),
        ("Net", None, "is not the dotted name of a class or function"),
        (3, None, "is not the dotted name of a class or function"),
        (None, None, "is not the dotted name of a class or function"),
        ("a..b", None, "is not the dotted name of a class or function"),
    ],
)
def test_error_says_what_would_allow_the_target(
    package: Package, target: str, wanted: str, sentence: str
) -> None:
    tools(package)
    assert sentence in str(refusal(target, wanted))


def test_error_says_where_another_type_belongs(package: Package, config: dict[str, Any]) -> None:
    package(
        lit="""
            import lightning as L
            class LitNet(L.LightningModule): pass
            class Config: pass
        """
    )
    config["model"] = {"_target_": "mylab.lit.LitNet"}
    with pytest.raises(UserError) as caught:
        check(config)
    assert str(caught.value) == (
        "model._target_=mylab.lit.LitNet is a LightningModule, not an nn.Module: put it in "
        "configs/task/ and type task=NAME."
    )
    assert refusal("mylab.lit.Config", "Module") == "is not an nn.Module."
    assert refusal("mylab.lit.Config") is None


def test_listed_factory_is_allowed(package: Package) -> None:
    package()
    assert refusal("torch.hub.load") is not None
    project.PYPROJECT.write_text('[tool.arclight]\nlibraries = ["torch.hub.load"]\n')
    assert refusal("torch.hub.load") is None
    assert refusal("torch.load") is not None
    assert refusal("timm.create_model") is not None


def test_pyproject_settings_are_optional_but_checked(package: Package) -> None:
    package()
    project.PYPROJECT.write_text("[project]\n")
    assert project.project() == project.Project()
    project.PYPROJECT.write_text('[tool.arclight]\npackages = "mylab"\n')
    with pytest.raises(UserError, match=r"packages under .* should be a list"):
        project.project()
    project.PYPROJECT.unlink()
    assert project.project() == project.Project()


def test_class_in_an_annotation_is_allowed_for_that_parameter_only(composed: Composed) -> None:
    config = composed("data.augment.flip=true")
    check(config)
    assert refusal("arclight_zoo.pixels.augment.Augment") is not None
    config["callbacks"]["x"] = config["data"]["augment"]
    with pytest.raises(UserError, match=r"callbacks\.x\._target_"):
        check(config)


def test_class_method_of_the_users_package_is_allowed(package: Package) -> None:
    package(
        net="""
            from torch import nn
            class Net(nn.Module):
                def __init__(self, width):
                    super().__init__()
                    self.width = width
                @classmethod
                def of_size(cls, size: int, *, deep: bool = False):
                    return cls(2 * size)
                @staticmethod
                def tiny():
                    return Net(1)
                def grown(self):
                    return self
        """,
        all="from mylab.net import *",
    )
    assert build({"_target_": "mylab.net.Net.of_size", "size": 3}, group="model").width == 6
    assert build({"_target_": "mylab.all.Net.tiny"}, group="model").width == 1
    with pytest.raises(
        UserError, match=r"sise is unknown to mylab\.net\.Net\.of_size: did you mean"
    ):
        build({"_target_": "mylab.net.Net.of_size", "sise": 3}, group="model")
    for name in ("grown", "load_from_checkpoint"):  # a method, and one of a library's base class
        reason = refusal(f"mylab.all.Net.{name}", "Module")
        assert reason == f"does not exist: mylab.all.Net has no class or class method {name}."


def test_suggestions_include_submodules_and_star_imports(package: Package) -> None:
    package(network="class Convnet: pass", all="from mylab.network import *")
    assert "did you mean mylab.network?" in str(refusal("mylab.netwrok.Convnet"))
    assert "did you mean mylab.all.Convnet?" in str(refusal("mylab.all.Convnets"))
    assert "did you mean torch.nn.Linear?" in str(refusal("torch.nn.Lineer"))
