"""Untrusted files: overrides, checkpoints, weights, tokenizers, data."""

import gc
import io
import json
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
import yaml
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from PIL import Image

from arclight.config.best_of import read as read_best
from arclight.config.checks.check import check
from arclight.errors import UserError
from arclight.models.pretrained import ARCHITECTURE, load_pretrained
from arclight.report.best import words_of
from arclight.training.checkpoint_files import UnreadableCheckpointError, read
from arclight_zoo.pixels.decode import read_image
from arclight_zoo.pixels.image_data import ImageData
from arclight_zoo.tokens.tokenizer import published
from tests.conftest import Composed
from tests.safety.conftest import Attack, Payload

WORDS = {
    "a flag": "-m",
    "a long flag": "--config-dir=LOOT",
    "another config": "--config-name=LOOT",
    "a folder of configs": "hydra.searchpath=[file://LOOT]",
    "a callback of Hydra": "+hydra.callbacks.x={_target_: os.system, command: touch LOOT/mark}",
    "a launcher": "hydra.launcher._target_=os.system",
    "a sweeper": "hydra/sweeper=LOOT",
    "logging": "+hydra.job_logging.handlers.x={(): os.system}",
    "its output": "hydra.run.dir=LOOT/mark",
    "a run directory": "run_dir=LOOT/mark",
    "a run to resume": "resume=LOOT",
    "runs": "runs=LOOT/mark",
    "a search": "search.dir=LOOT/mark",
    "the environment": "data.path=${oc.env:HOME}",
    "a decoder": "data.path=${oc.decode:'os'}",
    "a nested resolver": "data.path=${${a}:HOME}",
    "an option elsewhere": "model=../../LOOT/a",
    "a package": "model@hydra.launcher=cnn",
    "removal of a group": "~hydra",
    "a target": "model._target_=os.system",
    "a node": "+callbacks.x={_target_: os.system, command: touch LOOT/mark}",
    "a partial": "+callbacks.x={_target_: os.system, _partial_: true}",
    "a list of nodes": "+model.x=[{_target_: subprocess.Popen, args: [touch, LOOT/mark]}]",
    "a line in a word": "seed=0\nhydra.run.dir=LOOT/mark",
    "no text": 3,
    "a mapping": {"seed": 0},
}


@pytest.mark.route("words: of a best.yaml")
@pytest.mark.parametrize("word", WORDS.values(), ids=WORDS)
def test_overrides_in_a_file_only_set_keys(
    tmp_path: Path, attack: Attack, composed: Composed, word: Any
) -> None:
    word = word.replace("LOOT", str(attack.loot)) if isinstance(word, str) else word
    (tmp_path / "best.yaml").write_text(yaml.safe_dump({"overrides": ["seed=1", word]}))

    def use() -> None:
        check(composed(*read_best(str(tmp_path))))

    attack.attempt(use, HydraException, OmegaConfBaseException)
    assert attack.refused


@pytest.mark.route("words: of a run's overrides.yaml")
@pytest.mark.parametrize("word", list(WORDS.values())[:18], ids=list(WORDS)[:18])
def test_overrides_of_a_run_are_filtered_for_best_configs(
    attack: Attack, composed: Composed, word: str
) -> None:
    word = word.replace("LOOT", str(attack.loot))
    with attack.watched():
        try:
            words = words_of(composed(), ["seed=1", word])
        except UserError:
            words = []
    attack.require_no_mark()
    assert not [one for one in words if one.startswith(("-", "hydra", "+hydra", "run_dir"))]


def of_a_run(**more: Any) -> dict[str, Any]:
    return {"state_dict": {}, "global_step": 1, "run_id": "x", **more}


def _raw(file: Path, loot: Path) -> None:
    file.write_bytes(pickle.dumps(Payload(loot)))


def _legacy(file: Path, loot: Path) -> None:
    torch.save(of_a_run(x=Payload(loot)), file, _use_new_zipfile_serialization=False)


def _compressed(file: Path, loot: Path) -> None:
    torch.save(of_a_run(x=torch.zeros(100_000)), file)
    with zipfile.ZipFile(file) as given:
        content = {one: given.read(one) for one in given.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bomb:
        for name, value in content.items():
            bomb.writestr(name, value)


def _scripted(file: Path, loot: Path) -> None:
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("a/data.pkl", pickle.dumps(Payload(loot)))
        made.writestr("a/constants.pkl", pickle.dumps(Payload(loot)))
        made.writestr("a/code/__torch__.py", "import os")


def _sharded(**more: Any) -> Callable[[Path, Path], None]:
    def write(file: Path, loot: Path) -> None:
        folder = file.with_name("a.shards")
        folder.mkdir()
        (folder / ".metadata").write_bytes(pickle.dumps(Payload(loot)))
        (folder / "__0_0.distcp").write_bytes(pickle.dumps(Payload(loot)))
        length = (folder / "__0_0.distcp").stat().st_size
        place = {"path": ["a"], "tensor": None, "stored": [[None, None, "__0_0.distcp", 0, length]]}
        usual = {"shards": "a.shards", "checksums": {}, "shard_metadata": {"a": place}}
        torch.save(of_a_run(**{**usual, **more}), file)

    return write


def _doubled(file: Path, loot: Path) -> None:
    found: Any = [1]
    for _ in range(60):
        found = [found, found]
    torch.save(of_a_run(optimizer_states=found), file)


CHECKPOINTS: dict[str, Callable[[Path, Path], object]] = {
    "a pickle": _raw,
    "a pickle of torch": lambda file, loot: torch.save(Payload(loot), file),
    "a value": lambda file, loot: torch.save(of_a_run(x=Payload(loot)), file),
    "a weight": lambda file, loot: torch.save(of_a_run(state_dict={"a": Payload(loot)}), file),
    "a key": lambda file, loot: torch.save(of_a_run(x={1: [Payload(loot)]}), file),
    "a module": lambda file, loot: torch.save(torch.nn.ReLU(), file),
    "in the old form": _legacy,
    "a script": _scripted,
    "compressed": _compressed,
    "lists in lists": _doubled,
    "an array of objects": lambda file, loot: np.array([Payload(loot)], object).dump(file),
    "metadata of shards": _sharded(shard_metadata=None),
    "a value in shards": _sharded(),
    "shards elsewhere": _sharded(shards="../a.shards"),
    "a shard elsewhere": _sharded(
        shard_metadata={
            "a": {"path": ["a"], "tensor": None, "stored": [[None, None, "../x", 0, 1]]}
        }
    ),
    "shards that say nothing": _sharded(shard_metadata={"a": {}}),
    "shards of an absurd size": _sharded(
        shard_metadata={
            "a": {
                "path": ["a"],
                "tensor": {"dtype": torch.float32, "size": [10**15], "chunks": []},
                "stored": [],
            }
        }
    ),
    "shards at an absurd place": _sharded(
        shard_metadata={"a": {"path": ["a", 10**12], "tensor": None, "stored": []}}
    ),
}


@pytest.mark.route("checkpoints")
@pytest.mark.parametrize("write", CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_no_checkpoint_runs_code(
    tmp_path: Path, attack: Attack, write: Callable[[Path, Path], object]
) -> None:
    file = tmp_path / "best.ckpt"
    write(file, attack.loot)
    attack.attempt(lambda: read(file), UnreadableCheckpointError)
    assert len(attack.refused) == 1


CODE = "import os\nos.mkdir('LOOT/mark')\nclass Config: pass\nclass Model: pass\n"
AUTO = {"AutoConfig": "own.Config", "AutoModel": "own.Model", "AutoTokenizer": ["own.Config", None]}
TINY = {"hidden_size": 8, "num_attention_heads": 1, "num_hidden_layers": 1, "vocab_size": 9}
FOLDERS: dict[str, dict[str, Any]] = {
    "an unknown kind": {"model_type": "own", "auto_map": AUTO},
    "a known kind": {"model_type": "bert", "auto_map": AUTO, **TINY},
    "a kind by its architectures": {"architectures": ["own.Model"], "auto_map": AUTO},
    "code of another place": {
        "model_type": "own",
        "auto_map": {"AutoConfig": "a/b--own.Config", "AutoModel": "a/b--own.Model"},
    },
    "kernels of a hub": {"model_type": "bert", "attn_implementation": "evil/kernels", **TINY},
    "experts of a hub": {"model_type": "bert", "experts_implementation": "evil/kernels", **TINY},
    "a quantization": {
        "model_type": "bert",
        "quantization_config": {"quant_method": "own", "modules_to_not_convert": ["os"]},
        **TINY,
    },
    "a name of a hub": {"model_type": "bert", "_name_or_path": "evil/model", **TINY},
    "a size that is text": {"model_type": "bert", **TINY, "hidden_size": "8; import os"},
    "a list": [],  # type: ignore[dict-item]
}


@pytest.mark.route("weights: folders of transformers")
@pytest.mark.parametrize("name", ["weights", ARCHITECTURE])
@pytest.mark.parametrize("config", FOLDERS.values(), ids=FOLDERS)
def test_no_code_of_a_folder_is_run(
    tmp_path: Path, attack: Attack, monkeypatch: pytest.MonkeyPatch, name: str, config: Any
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "own.py").write_text(CODE.replace("LOOT", str(attack.loot)))
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Payload(attack.loot)))
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    attack.attempt(lambda: load_pretrained(transformers.AutoModel, str(folder)))
    assert attack.refused or name == ARCHITECTURE


@pytest.mark.route("weights: adapters")
@pytest.mark.parametrize("base", ["a/b", "LOOT"])
def test_an_adapter_cannot_load_another_model(tmp_path: Path, attack: Attack, base: str) -> None:
    told = {"peft_type": "LORA", "base_model_name_or_path": base.replace("LOOT", str(attack.loot))}
    (tmp_path / "adapter_config.json").write_text(json.dumps(told))
    (tmp_path / "adapter_model.bin").write_bytes(pickle.dumps(Payload(attack.loot)))
    attack.attempt(lambda: load_pretrained(transformers.AutoModel, str(tmp_path)))
    assert "is an adapter" in attack.refused[0]


TOKENIZERS = {
    "a pickle": pickle.dumps(1),
    "empty": b"",
    "deep": b"[" * 100_000,
    "a list": b"[]",
    "of another kind": b'{"model": {"type": "Python", "code": "import os"}}',
}


@pytest.mark.route("tokenizers")
@pytest.mark.parametrize("content", TOKENIZERS.values(), ids=TOKENIZERS)
def test_a_tokenizer_is_read_as_one(tmp_path: Path, attack: Attack, content: bytes) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)
    attack.attempt(lambda: published(str(tmp_path)))
    assert "tokenizer.json is damaged" in attack.refused[0]


POSTSCRIPT = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(LOOT/mark) (w) file\n"
)


def _tar(folder: Path, loot: Path) -> None:
    picture = io.BytesIO()
    Image.new("L", (8, 8)).save(picture, "PNG")
    with tarfile.open(folder / "train-000000.tar", "w") as shard:
        for name in ("../loot/mark", f"{loot}/mark", "a"):
            for suffix, content in ((".png", picture.getvalue()), (".cls", b"0")):
                member = tarfile.TarInfo(name + suffix)
                member.size = len(content)
                shard.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("b.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        shard.addfile(link)


def _script(folder: Path, loot: Path) -> None:
    (folder / f"{folder.name}.py").write_text(f"import os\nos.mkdir({str(loot / 'mark')!r})\n")


def _card(folder: Path, loot: Path) -> None:
    tag = f"!!python/object/apply:os.mkdir ['{loot}/mark']"
    (folder / "README.md").write_text(f"---\nconfigs: {tag}\n---\n")
    (folder / "train.csv").write_text("image,label\na,b\n")


def _addresses(folder: Path, loot: Path) -> None:
    (folder / "metadata.csv").write_text("file_name,label\nhttp://127.0.0.1:9/a.png,1\n")
    Image.new("L", (8, 8)).save(folder / "a.png")


def _table_of_paths(folder: Path, loot: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    images = [{"bytes": None, "path": "/dev/zero"}, {"bytes": None, "path": "/etc/passwd"}]
    features = {"image": {"_type": "Image"}, "label": {"_type": "Value", "dtype": "int64"}}
    told = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    table = pyarrow.table({"image": images, "label": [0, 1]})
    parquet.write_table(table.replace_schema_metadata(told), folder / "train.parquet")


def _postscript(folder: Path, loot: Path) -> None:
    for name in "ab":
        (folder / name).mkdir()
        content = POSTSCRIPT.replace(b"LOOT", bytes(loot))
        (folder / name / "a.png").write_bytes(content)


def _loop(folder: Path, loot: Path) -> None:
    for name in "ab":
        (folder / name).mkdir()
        Image.new("L", (8, 8)).save(folder / name / "a.png")
        for other in range(8):
            (folder / name / f"link{other}").symlink_to(folder)


DATA: dict[str, Callable[[Path, Path], None]] = {
    "names that lead out of a tar": _tar,
    "a script of the folder's name": _script,
    "tags in a card": _card,
    "addresses in a table": _addresses,
    "paths in a table": _table_of_paths,
    "programs as images": _postscript,
    "links in a circle": _loop,
}


@pytest.mark.route("data: folders")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("write", DATA.values(), ids=DATA)
def test_data_are_only_read(
    tmp_path: Path, attack: Attack, write: Callable[[Path, Path], None]
) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    write(folder, attack.loot)
    attack.attempt(lambda: ImageData(str(folder), batch_size=2).setup("fit"))
    gc.collect()  # for files that `datasets` leaves open


def test_a_program_is_not_read_as_an_image(attack: Attack) -> None:
    attack.attempt(lambda: read_image(POSTSCRIPT, "a.png"))
    assert attack.refused
