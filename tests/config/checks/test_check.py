"""A config is checked against the signatures of what it builds, without importing torch."""

import subprocess
import sys

import pytest

from arclight.config.checks.check import check
from arclight.config.signatures.signature import parameters
from arclight.errors import UserError
from tests.conftest import Composed, options


@pytest.mark.parametrize("group", ["model", "optimizer", "scheduler", "trainer", "logger", "debug"])
def test_every_shipped_config_passes(composed: Composed, group: str) -> None:
    given = {"auto": ["model.pretrained=FOLDER"]}
    for option in options(group):
        check(composed(f"{group}={option}", *given.get(option, [])))


@pytest.mark.parametrize("experiment", options("experiment"))
def test_every_experiment_passes(composed: Composed, experiment: str) -> None:
    check(composed(f"experiment={experiment}", "data.path=somewhere"))


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        (
            "trainer.max_epochs=many",
            "trainer.max_epochs=many should be a whole number of 1 or more or -1 or",
        ),
        ("trainer.gradient_clip_val=-1", "trainer.gradient_clip_val=-1 should be a number of 0"),
        ("trainer.max_epochs=0", "trainer.max_epochs=0 should be a whole number of 1 or more"),
        ("trainer.limit_train_batches=2.5", "1 or more or a number above 0, up to 1."),
        ("data.batch_size=0", "data.batch_size=0 should be a whole number of 1 or more"),
        ("data.val_fraction=1.5", "data.val_fraction=1.5 should be a number from 0 to 1."),
        ("optimizer.weight_decay=-1", "optimizer.weight_decay=-1 should be a number of 0 or more."),
        ("optimizer.lr=1e400", "optimizer.lr=inf should be a number above 0."),
        ("data.num_workers=true", "data.num_workers=true should be a whole number of 0 or more."),
        ("optimizer.lr=fast", "optimizer.lr=fast should be a number above 0."),
        (
            "compile=perhaps",
            "compile=perhaps should be true or false or whole or blocks or max-autotune or "
            "cudagraphs.",
        ),
        (
            "trainer.accelerator=tpu",
            "trainer.accelerator=tpu should be auto or cpu or gpu or cuda or mps.",
        ),
        ("+model.widht=3", "model.widht is unknown to CNN"),
        ("+optimizer.weight_deacy=3", "did you mean optimizer.weight_decay?"),
        ("data.path=???", "data.path must be given: type data.path=VALUE."),
        ("seed=one", "seed=one should be a whole number from 0 to 4294967295."),
    ],
)
def test_fault_is_reported_with_its_fix(composed: Composed, override: str, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        check(composed(override))
    assert sentence in str(caught.value)


def test_all_faults_are_reported_together(composed: Composed) -> None:
    with pytest.raises(UserError) as caught:
        check(composed("trainer.max_epochs=x", "optimizer.lr=y", "+data.z=1"))
    assert len(str(caught.value).splitlines()) == 3


def test_signature_does_not_import_torch() -> None:
    code = (
        "import sys; from arclight.config.signatures.signature import parameters;"
        "assert 'num_classes' in parameters('arclight_zoo.image.cnn.CNN');"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_required_parameters_are_known() -> None:
    known = parameters("arclight_zoo.image.vit.ViT")
    assert known["patch_size"].required
    assert not known["drop_path"].required
