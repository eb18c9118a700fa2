"""`push=ORG/NAME` uploads a folder to the hub, or says before any work what it lacks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from arclight.errors import UserError
from arclight.use import export as exports
from arclight.use.export import export
from arclight.use.push import upload
from tests.conftest import Composed
from tests.hub import Hub, hub, hurried
from tests.hub_upload import TOKEN
from tests.use.test_export import run_of

# huggingface_hub 2.4 gives httpx2 a large file as it should no longer
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    with hub(tmp_path / "served", monkeypatch) as made:
        (made.folder / "models").mkdir(parents=True)
        yield made


def test_a_folder_is_uploaded(
    served: Hub, composed: Composed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForImageClassification

    monkeypatch.setenv("HF_TOKEN", TOKEN)
    run = run_of(composed, tmp_path, "vit")
    folder = export(str(run.path), "hf", push="me/digits", license="mit")
    given = served.folder / "models" / "me" / "digits"
    assert {f.name: f.read_bytes() for f in given.iterdir()} == {
        f.name: f.read_bytes() for f in folder.iterdir()
    }
    assert served.uploads.visibility == {"me/digits": "private"}
    assert list(served.uploads.large.values()) == [(folder / "model.safetensors").read_bytes()]
    assert AutoModelForImageClassification.from_pretrained("me/digits").config.num_labels == 10

    (folder / "README.md").write_text("changed")  # again, to a repository that is there
    upload(folder, "me/digits", private=False)
    assert (given / "README.md").read_text() == "changed"
    assert served.uploads.visibility == {"me/digits": "private"}
    upload(folder, "me/open", private=False)
    assert served.uploads.visibility["me/open"] == "public"


def test_what_is_missing_is_said_before_any_work(
    served: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "open_checked", lambda run: pytest.fail("it was read"))

    def fails(format: str, push: str, sentence: str) -> None:
        with pytest.raises(UserError, match=sentence):
            export("runs/none", format, push=push)

    fails("onnx", "me/digits", "but format=onnx does not write one: type format=hf")
    fails("hf", "digits", "is not the name of a repository: type push=ORG/NAME")
    fails("hf", "me/../digits", "is not the name of a repository")
    fails("hf", "me/digits", "needs a Hugging Face token .*: type hf auth login, or set HF_TOKEN")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    served.stop()
    fails("hf", "me/digits", "is out of reach")
    assert not served.asked


def test_a_refused_folder_stays(
    served: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried(monkeypatch)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody_else")
    with pytest.raises(UserError, match=f"rejected {folder} for me/digits: .* hf upload me/d"):
        upload(folder, "me/digits", private=True)
    assert folder.is_dir()
