"""Signatures are read from source, through bases, `**kwargs` and re-exports."""

import subprocess
import sys

import pytest

from arclight.config.signatures.signature import parameters, signature, takes
from arclight.config.signatures.source import resolve
from arclight.errors import UserError
from tests.conftest import Package

MODULES = {
    "base": """
        from torch import nn

        class Net(nn.Module):
            def __init__(self, width: int, depth: int = 2) -> None:
                super().__init__()

        class Keywords(Net):
            def __init__(self, bias: bool = True, **kwargs: object) -> None:
                super().__init__(**kwargs)

        class Fixed(Net):
            def __init__(self, bias: bool = True, **kwargs: object) -> None:
                super().__init__(8, **kwargs)

        class Everything(Net):
            def __init__(self, *args: object, **kwargs: object) -> None:
                super().__init__(*args, **kwargs)

        class Unused(Net):
            def __init__(self, bias: bool = True, **_: object) -> None:
                super().__init__(1)

        class Reads(nn.Module):
            def __init__(self, **kwargs: object) -> None:
                super().__init__()
                self.width = kwargs.pop("width", 3)
                self.depth = kwargs["depth"] if "depth" in kwargs else 1

        class Keeps(nn.Module):
            def __init__(self, **kwargs: object) -> None:
                super().__init__()
                self.options = kwargs

        def make(bias: bool, **kwargs: object) -> Net:
            return Net(depth=3, **kwargs)

        def lazily(**kwargs: object) -> Net:
            from mylab.other import Renamed
            return Renamed(**kwargs)
    """,
    "other": """
        import dataclasses
        from dataclasses import dataclass, field
        from typing import ClassVar
        from .base import Net as Renamed
        from mylab import base as b
        Alias = b.Keywords

        class Plain(Renamed):
            pass

        class Mixed(b.Keywords, Plain):
            pass

        @dataclass(frozen=True)
        class Size:
            kind: ClassVar[str] = "size"
            width: int
            height: int = 3
            made: int = field(init=False)

        @dataclasses.dataclass
        class Volume(Size):
            layers: list[int] = field(default_factory=list)
            depth: float = field(kw_only=True)

        class Outer:
            class Inner:
                def __init__(self, x: int, /, y: int, *rest: int, z: int = 0) -> None: ...

        try:
            from nowhere_at_all import Fast as Chosen
        except ImportError:
            from .base import Reads as Chosen
    """,
    "stars": "from .other import *\nfrom mylab.base import *\n",
}


@pytest.mark.parametrize(
    ("target", "names", "required"),
    [
        ("base.Net", "width depth", "width"),
        ("base.Keywords", "bias width depth", "width"),
        ("base.Fixed", "bias depth", ""),
        ("base.Everything", "width depth", "width"),
        ("base.Unused", "bias", ""),
        ("base.Reads", "width depth", ""),
        ("base.make", "bias width", "bias width"),
        ("base.lazily", "width depth", "width"),
        ("other.Plain", "width depth", "width"),
        ("other.Mixed", "bias width depth", "width"),
        ("other.Alias", "bias width depth", "width"),
        ("other.Size", "width height", "width"),
        ("other.Volume", "width height layers depth", "width depth"),
        ("other.Outer.Inner", "y z", "y"),
        ("other.Chosen", "width depth", ""),
        ("stars.Renamed", "width depth", "width"),
        ("stars.Volume", "width height layers depth", "width depth"),
    ],
)
def test_parameters_follow_the_source(
    package: Package, target: str, names: str, required: str
) -> None:
    package(**MODULES)
    found = signature(f"mylab.{target}")
    assert set(found.parameters) == set(names.split())
    assert {k for k, p in found.parameters.items() if p.required} == set(required.split())
    assert not found.open


def test_signature_is_open_if_the_source_does_not_tell(package: Package) -> None:
    package(**MODULES)
    assert signature("mylab.base.Keeps").open
    assert takes("mylab.base.Keeps", "anything")
    assert signature("mylab.nowhere.Net").open


def test_resolve_follows_re_exports(package: Package) -> None:
    package(**MODULES)
    found = resolve("mylab.stars.Renamed")
    assert found is not None
    assert found.name == "mylab.base.Net"
    assert found.file.name == "base.py"
    assert found.bases() == ["torch.nn.Module"]
    annotated = parameters("mylab.stars.Alias")["width"]
    assert annotated.module is found.module


def test_cycles_of_imports_and_bases_end(package: Package) -> None:
    package(
        a="from .b import *\nfrom .b import X\n",
        b="from .a import *\nfrom .a import X\nclass Self(Self):\n    pass\n",
        c="def f(**k): return g(**k)\ndef g(**k): return f(**k)\n",
    )
    assert resolve("mylab.a.X") is None
    assert resolve("mylab.a.Y") is None
    assert signature("mylab.b.Self").open
    assert signature("mylab.c.f").open


def test_file_that_is_not_python_is_a_user_error(package: Package) -> None:
    package(broken="\nclass Model\n")
    with pytest.raises(UserError, match=r"broken\.py, line 2, is not valid Python"):
        signature("mylab.broken.Model")


@pytest.mark.parametrize(
    ("target", "takes_these", "not_these"),
    [
        ("torch.optim.RMSprop", "params lr alpha momentum", "betas"),
        ("timm.optim.Lion", "params lr betas", "momentum"),
        ("timm.optim.Lamb", "params lr trust_clip", "momentum"),
        ("lightning.pytorch.callbacks.LearningRateMonitor", "logging_interval", "monitor"),
        ("lightning.pytorch.loggers.MLFlowLogger", "experiment_name run_id", "project"),
        ("torch.optim.lr_scheduler.OneCycleLR", "max_lr total_steps", "patience"),
        ("torch.optim.lr_scheduler.ReduceLROnPlateau", "patience factor", "max_lr"),
        ("torchvision.transforms.v2.RandomHorizontalFlip", "p", "size"),
        ("torchvision.transforms.v2.RandomCrop", "size padding", "p"),
        ("torchvision.datasets.ImageFolder", "root transform", "download"),
        ("torch.nn.CrossEntropyLoss", "weight label_smoothing", "gamma"),
        ("lightning.Trainer", "max_epochs fast_dev_run", "run_dir"),
    ],
)
def test_library_signatures(target: str, takes_these: str, not_these: str) -> None:
    assert all(takes(target, name) for name in takes_these.split())
    assert not any(takes(target, name) for name in not_these.split())


@pytest.mark.parametrize(
    ("target", "known"),
    [
        ("lightning.pytorch.strategies.DDPStrategy", "process_group_backend"),  # keeps its **kwargs
        ("torchmetrics.classification.MulticlassF1Score", "num_classes"),
        ("torchmetrics.F1Score", None),  # made by __new__
    ],
)
def test_library_signatures_that_are_open(target: str, known: str | None) -> None:
    found = signature(target)
    assert found.open
    assert known is None or known in found.parameters


def test_check_imports_no_large_library() -> None:
    code = (
        "import sys; from arclight.config.checks.check import check;"
        "from arclight.config.checks.allowed import refusal;"
        "assert refusal('torch.optim.RMSprop', 'Optimizer') is None;"
        "assert refusal('lightning.pytorch.callbacks.LearningRateMonitor') is None;"
        "assert not {'torch', 'lightning', 'torchvision'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
