"""A file may contain only overrides of the config, not options of the command."""

from pathlib import Path

import pytest
import yaml

from arclight.config.best_of import read
from arclight.config.file_overrides import require_plain
from arclight.errors import UserError

PLAIN = [
    *("model=vit", "optimizer.lr=0.01", "++model.extra=1", "~callbacks.ema", "task/loss=focal"),
    *("data.path='/a/b c'", "model.widths=[8,16]", "+model.widths.0=3", "logger=[csv,wandb]"),
    *("model.mlp_dim=${model.dim}", "data.template='a\nb'", "scheduler=null", "name=a"),
]
REJECTED = [
    *("-m", "--multirun", "--config-dir=/tmp/x", "--config-path=/tmp", "-cd/tmp", "-hydra"),
    *("hydra.launcher._target_=os.system", "+hydra.callbacks.x={_target_: os.system}"),
    *("hydra/launcher=joblib", "+callbacks@hydra.callbacks=default", "++hydra.run.dir=/tmp/x"),
    *("hydra.searchpath=[file:///tmp/x]", "hydra.job_logging.root={handlers: [x]}"),
    *("+model@_global_.hydra.callbacks=vit", "~hydra.verbose", "run_dir=/tmp/x", "runs=/tmp/x"),
    *("resume=/tmp/x", "search=digits_cnn", "search.dir=/tmp/x", "path=/tmp/x"),
    *("name=${oc.env:HOME}", "name='${ oc.env:HOME }'", "name=${oc.decode:x}", "name=a${hydra:x}"),
    *("name=${${a}:HOME}", "model.x={a: '${oc.env:HOME}'}", "model=../../tmp/evil"),
    *("model=/tmp/evil", "model={_target_: os.system}", "+task/loss=../../x", "model", "=3", ""),
    *("$(touch x)=1", "a b=1", "model=vit\0", "\x1b[2J=1"),
]


@pytest.mark.parametrize("override", PLAIN)
def test_overrides_of_the_config_are_accepted(override: str) -> None:
    assert require_plain([override], Path("best.yaml")) == [override]


@pytest.mark.parametrize("override", [*REJECTED, 3, None, ["a=1"], {"hydra": 1}], ids=ascii)
def test_others_are_rejected_with_the_name_of_the_file(override: object, tmp_path: Path) -> None:
    file = tmp_path / "best.yaml"
    file.write_text(yaml.safe_dump({"overrides": ["model=vit", override]}))
    with pytest.raises(UserError, match=r"best\.yaml contains .*, which ") as error:
        read(str(file))
    assert str(error.value).isprintable()
