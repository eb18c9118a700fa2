"""The commands a user types: train, evaluate, predict, reproduce; on a run of a few steps."""

import csv
import os
import shutil
import subprocess
import sys
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from arclight.errors import UserError
from arclight.run.execute import execute
from arclight.run_directory import RunDirectory, create
from arclight.use.evaluate import evaluate
from arclight.use.export import export
from arclight.use.generate import generate
from arclight.use.predict import predict
from arclight.use.reproduce import reproduce
from tests.conftest import PROJECT, Composed

TINY = ("data.limit=64", "data.batch_size=32", "trainer.max_epochs=1")


def train(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PROJECT / "train.py"), *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("commands")


@pytest.fixture(scope="module")
def trained(folder: Path) -> tuple[RunDirectory, str]:
    done = train("run_dir=mine", *TINY, cwd=folder)
    assert done.returncode == 0, done.stderr
    return RunDirectory(folder / "mine"), done.stdout


def test_a_run_writes_all_documented_files(trained: tuple[RunDirectory, str]) -> None:
    run, said = trained
    names = {str(f.relative_to(run.path)) for f in run.path.rglob("*") if f.is_file()}
    assert names == {
        ".lock",
        "config.yaml",
        "overrides.yaml",
        "manifest.json",
        "summary.json",
        "metrics.csv",
        "train.log",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "plots/curves.png",
        "plots/confusion_matrix.png",
        "plots/class_scores.png",
        "plots/calibration.png",
        "plots/mistakes.png",
        "predictions.parquet",
    }
    assert "test/accuracy" in said
    assert "run" in said
    summary = run.summary
    assert summary["status"] == "finished"
    assert summary["error"] is None
    assert summary["parameters"] == 373_130
    assert {"val/loss", "test/accuracy", "test/f1", "test/top5"} <= set(summary["metrics"])
    manifest = run.manifest
    assert manifest["packages"]["lightning"]
    assert manifest["hardware"]["cores"] == os.cpu_count()
    assert manifest["data"]["sizes"] == {"train": 64, "val": 64, "test": 64}
    assert "max_epochs: 1" in run.config_file.read_text()


def test_the_same_command_on_a_finished_run_does_nothing(
    folder: Path, trained: tuple[RunDirectory, str]
) -> None:
    before = trained[0].summary
    done = train("run_dir=mine", *TINY, cwd=folder)
    assert done.returncode == 0
    assert "finished already" in done.stdout
    assert trained[0].summary == before


def test_another_config_for_an_existing_run_is_rejected_with_the_difference(
    folder: Path, trained: tuple[RunDirectory, str]
) -> None:
    done = train("run_dir=mine", *TINY, "optimizer.lr=0.5", cwd=folder)
    assert done.returncode == 2
    assert "optimizer.lr: 0.001 -> 0.5" in done.stderr or "optimizer.lr:" in done.stderr
    assert "resume=mine" in done.stderr


def test_evaluate_gives_the_runs_metrics(
    trained: tuple[RunDirectory, str], capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = trained
    figures = evaluate(str(run.path))
    assert figures == {k: v for k, v in run.summary["metrics"].items() if k[:5] == "test/"}
    assert not capsys.readouterr().err  # the code is that of the run


def test_using_a_run_with_changed_code_warns(
    folder: Path,
    trained: tuple[RunDirectory, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = RunDirectory(folder / "changed")
    shutil.copytree(trained[0].path, run.path)
    run.update_manifest(
        code={**run.manifest["code"], "arclight_zoo/image/cnn.py": "0123456789abcdef"}
    )
    warning = "warning: the code has changed since this run: arclight_zoo/image/cnn.py; its metrics"
    evaluate(str(run.path))
    assert warning in capsys.readouterr().err
    Image.new("L", (8, 8)).save(tmp_path / "new.png")
    predict(str(run.path), str(tmp_path / "new.png"))
    out, errors = capsys.readouterr()
    assert warning in errors
    assert out.startswith("file,label,")
    done = train("run_dir=changed", *TINY, cwd=folder)
    assert done.returncode == 0
    assert warning in done.stderr


def test_continuing_with_other_code_is_logged(composed: Composed, tmp_path: Path) -> None:
    from arclight.provenance.code import digests

    code = {**digests(), "arclight_zoo/image/cnn.py": "0123456789abcdef"}
    run = create(tmp_path / "r", tmp_path, "r", composed(*TINY), [], {"code": code})
    assert execute(run) == 0
    assert (
        "code has changed since this run was last executed: arclight_zoo/image/cnn.py"
        in run.log_file.read_text()
    )
    assert run.manifest["continued"][0]["code"] == {
        "arclight_zoo/image/cnn.py": digests()["arclight_zoo/image/cnn.py"]
    }


def test_a_run_of_a_gpu_is_tested_and_predicts_on_a_cpu(
    trained: tuple[RunDirectory, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    run = RunDirectory(tmp_path / "of_a_gpu")
    shutil.copytree(trained[0].path, run.path)
    config = run.config
    config["trainer"] |= {"accelerator": "gpu", "precision": "bf16-mixed"}
    run.config_file.write_text(yaml.safe_dump(config))
    assert evaluate(str(run.path)) == evaluate(str(trained[0].path))
    assert "was trained on a GPU, but this machine has none" in capsys.readouterr().out
    Image.new("L", (8, 8)).save(tmp_path / "new.png")
    assert len(predict(str(run.path), str(tmp_path / "new.png"))) == 2


def test_predict_labels_image_files(trained: tuple[RunDirectory, str], tmp_path: Path) -> None:
    run, _ = trained
    images = tmp_path / "images"
    images.mkdir()
    for i in range(3):
        Image.new("L", (8, 8), 80 * i).save(images / f"{i}.png")
    Image.new("RGB", (20, 30)).save(images / "photo.jpg")  # any size and mode is converted
    (images / "notes.txt").write_text("not an image")
    link = tmp_path / "link.csv"
    link.symlink_to(tmp_path / "labels.csv")  # what is not a file of its own stays what it is
    predict(str(run.path), str(images), output=str(link))
    assert link.is_symlink()
    with (tmp_path / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [Path(r["file"]).name for r in rows] == ["0.png", "1.png", "2.png", "photo.jpg"]
    for row in rows:
        chances = {k: float(v) for k, v in row.items() if k not in ("file", "label")}
        assert sum(chances.values()) == pytest.approx(1, abs=1e-4)
        assert chances[row["label"]] == max(chances.values())


def test_predict_reports_invalid_arguments(
    trained: tuple[RunDirectory, str], tmp_path: Path
) -> None:
    run = str(trained[0].path)
    with pytest.raises(UserError, match="neither a file nor a folder"):
        predict(run, str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="holds no image"):
        predict(run, str(tmp_path))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG but not really")
    with pytest.raises(UserError, match=r"broken\.png cannot be read as an image"):
        predict(run, str(tmp_path))
    Image.new("L", (8, 8)).save(tmp_path / "whole.png")
    output = tmp_path / "answers.csv"
    with pytest.raises(UserError, match=r"^1 of 2 inputs cannot be read and have no answer in"):
        predict(run, str(tmp_path), output=str(output))
    with output.open() as file:
        rows = {Path(row["file"]).name: row["label"] for row in csv.DictReader(file)}
    assert rows["broken.png"] == ""
    assert rows["whole.png"]


def test_an_invalid_output_is_reported_before_predicting(
    trained: tuple[RunDirectory, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, image = str(trained[0].path), tmp_path / "new.png"
    Image.new("L", (8, 8)).save(image)
    monkeypatch.setattr("arclight.use.predict.answers", None)
    with pytest.raises(UserError, match=r"none/a\.csv is in a folder that does not exist"):
        predict(run, str(image), output=str(tmp_path / "none" / "a.csv"))
    with pytest.raises(UserError, match=r"^output=.* is a folder: type output=.*/FILE\.csv"):
        predict(run, str(image), output=str(tmp_path))
    for output in (str(tmp_path / "none" / "m.onnx"), str(image)):
        with pytest.raises(UserError, match=r"in a folder that does not exist|already exists"):
            export(run, "onnx", output=output)


def test_a_file_that_is_not_a_checkpoint_is_reported(
    trained: tuple[RunDirectory, str], tmp_path: Path
) -> None:
    file = tmp_path / "model.ckpt"
    file.write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match=r"model\.ckpt cannot be read as a checkpoint"):
        evaluate(str(trained[0].path), checkpoint=str(file))


def test_the_weights_of_another_model_are_rejected(
    composed: Composed, trained: tuple[RunDirectory, str], tmp_path: Path
) -> None:
    other = create(tmp_path / "o", tmp_path, "o", composed("model.widths=[8,8,8]"), [], {})
    checkpoint = str(trained[0].checkpoints / "best.ckpt")
    with pytest.raises(UserError, match="has the weights of another model"):
        evaluate(str(other.path), checkpoint=checkpoint)


def test_reproduce_ends_in_the_same_bits(
    composed: Composed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = composed(*TINY, "deterministic=true")
    from arclight.provenance.manifest import describe

    run = create(tmp_path / "first", tmp_path, "first", config, [], describe(config))
    assert execute(run) == 0
    assert reproduce(str(run.path), output=str(tmp_path / "second")) == 0
    said = capsys.readouterr().out
    assert "changed since: nothing: code, packages and hardware are the same" in said
    assert "Reproduced (required: equal bits)" in said
    figures = dict(run.summary["metrics"])
    run.update_summary(metrics={**figures, "test/accuracy": figures["test/accuracy"] + 0.5})
    assert reproduce(str(run.path), output=str(tmp_path / "third")) == 1
    assert "NOT reproduced" in capsys.readouterr().out


def test_an_unfinished_run_cannot_be_reproduced(composed: Composed, tmp_path: Path) -> None:
    run = create(tmp_path / "first", tmp_path, "first", composed(), [], {})
    with pytest.raises(UserError, match="is not finished"):
        reproduce(str(run.path))


def test_an_exception_is_a_failed_run_with_its_traceback(
    composed: Composed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("in the model")

    run = create(tmp_path / "r", tmp_path, "r", composed(*TINY), [], {})
    monkeypatch.setattr("arclight_zoo.image.cnn.CNN.forward", broken)
    assert execute(run) == 1
    assert run.summary["status"] == "failed"
    assert run.summary["error"] == "ZeroDivisionError: in the model"
    assert "Traceback" in run.log_file.read_text()


def test_out_of_memory_is_reported_with_suggestions(
    composed: Composed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def greedy(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    run = create(tmp_path / "r", tmp_path, "r", composed(*TINY), [], {})
    monkeypatch.setattr("arclight_zoo.image.cnn.CNN.forward", greedy)
    assert execute(run) == 2
    assert "data.batch_size=32" in run.summary["error"]
    assert "trainer.accumulate_grad_batches=2" in run.summary["error"]


def test_out_of_memory_in_evaluation_suggests_a_smaller_batch(
    composed: Composed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def greedy(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    config = composed(*TINY, "data.eval_batch_size=24")
    run = create(tmp_path / "r", tmp_path, "r", config, [], {})
    monkeypatch.setattr(
        "arclight_zoo.image.classification.ImageClassification.validation_step", greedy
    )
    assert execute(run) == 2
    assert (
        "in evaluation with data.eval_batch_size=24; type data.eval_batch_size=12"
        in (run.summary["error"])
    )


@pytest.mark.slow
def test_two_processes_share_one_directory_and_test_every_example_once(
    composed: Composed, tmp_path: Path
) -> None:
    """359 test images on two processes: an odd number, without padding."""
    config = composed("trainer=ddp_cpu", "model.widths=[4,8]", "trainer.max_epochs=1")
    run = create(tmp_path / "ddp", tmp_path, "ddp", config, [], {})
    assert execute(run) == 0
    assert [f.name for f in tmp_path.iterdir()] == ["ddp"]
    figures = evaluate(str(run.path))  # in one process
    assert figures["test/accuracy"] == run.summary["metrics"]["test/accuracy"]
    assert figures["test/loss"] == pytest.approx(run.summary["metrics"]["test/loss"], rel=1e-6)


def test_help_and_cfg_import_nothing_but_hydra(folder: Path) -> None:
    code = (
        "import sys, runpy; sys.argv = ['train.py', '--cfg', 'job']\n"
        f"try: runpy.run_path({str(PROJECT / 'train.py')!r}, run_name='__main__')\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'lightning', 'numpy', 'wandb', 'datasets', 'timm'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "model:" in done.stdout


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("model=vitt", "model=vitt does not exist: did you mean model=vit?"),
        ("trainer.max_epoch=3", "did you mean trainer.max_epochs?"),
    ],
)
def test_a_mistyped_override_is_a_user_error_with_exit_code_2(
    folder: Path, word: str, sentence: str
) -> None:
    done = train(word, "runs=mistyped", cwd=folder)
    assert done.returncode == 2
    assert sentence in done.stderr + done.stdout
    assert "Traceback" not in done.stderr + done.stdout
    assert not list((folder / "mistyped").glob("*"))


@pytest.fixture(scope="module")
def writer(composed: Composed, folder: Path) -> RunDirectory:
    """A small language model of a small text."""
    (folder / "text.txt").write_text("to be or not to be, that is the question\n" * 40)
    small = ("model=gpt", "data=text_file", "data.path=text.txt", "data.tokenizer=characters")
    sizes = ("model.d_model=16", "model.n_layers=1", "data.context=16", "trainer.max_steps=3")
    with chdir(folder):
        run = create(folder / "writer", folder, "writer", composed(*small, *sizes), [], {})
        assert execute(run) == 0
    return run


def test_a_language_model_continues_a_prompt(writer: RunDirectory) -> None:
    made = generate(str(writer.path), "to be", length=30)
    assert made.startswith("to be")
    assert 5 < len(made) <= 35
    assert made == generate(str(writer.path), "to be", length=30)
    assert made != generate(str(writer.path), "to be", length=30, seed=1)
    with pytest.raises(UserError, match=r"characters that the run's tokenizer does not have: 'Q'"):
        generate(str(writer.path), "Q")
    for name, value in {"temperature": -1.0, "length": 0, "top_k": -1}.items():
        with pytest.raises(UserError, match=f"^{name}={value} should be"):
            generate(str(writer.path), "to be", **{name: value})  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"^temperature=nan should be"):
        generate(str(writer.path), "to be", temperature=float("nan"))


def test_it_stops_whatever_the_end_is_called(
    writer: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    from arclight_zoo.text.gpt import GPT
    from arclight_zoo.tokens import tokenizer as tokenizers

    plain = (writer.path / tokenizers.FILE).read_text()
    published = tokenizers.Tokenizer.from_str(plain.replace("</s>", "<|endoftext|>"))
    monkeypatch.setattr(tokenizers, "load", lambda _: published)
    stops: list[int | None] = []

    def made(model: GPT, tokens: Any, length: int, stop: int | None, **_: Any) -> Any:
        stops.append(stop)
        return tokens

    monkeypatch.setattr(GPT, "generate", made)
    generate(str(writer.path), "to be")
    assert stops == [published.token_to_id("<|endoftext|>")] != [None]


def test_a_classifier_does_not_generate_text(trained: tuple[RunDirectory, str]) -> None:
    with pytest.raises(UserError, match=r"does not generate text; type python scripts/predict\.py"):
        generate(str(trained[0].path), "a")


def test_a_run_with_changed_data_is_not_continued(
    writer: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = RunDirectory(Path(shutil.copytree(writer.path, tmp_path / "copy")))
    copy.update_summary(status="interrupted")
    (tmp_path / "text.txt").write_text("another text, of the same letters: to be or not " * 40)
    monkeypatch.chdir(tmp_path)
    assert execute(copy) == 2
    assert "have changed since its start" in copy.summary["error"]
