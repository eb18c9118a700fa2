"""Every script reads the words of its command line as train.py does."""

import runpy
import sys
from typing import Any

import pytest
import yaml

from arclight.config.arguments import arguments, listed, plain_value
from arclight.errors import UserError
from tests.conftest import PROJECT

SCRIPTS = sorted((PROJECT / "scripts").glob("*.py"))
ON_RUNS = ("consolidate", "export", "predict", "reproduce")


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """What a script prints, and its exit code: `said("evaluate", "run=x")`."""
    monkeypatch.syspath_prepend(PROJECT / "scripts")

    def call(script: str, *words: str) -> tuple[int, str, str]:
        file = PROJECT / "scripts" / f"{script}.py"
        monkeypatch.setattr(sys, "argv", [str(file), *words])
        code = 0
        try:
            runpy.run_path(str(file), run_name="__main__")
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capsys.readouterr()

    return call


@pytest.mark.parametrize("script", [file.stem for file in SCRIPTS])
def test_every_script_explains_itself_and_refuses_what_it_does_not_know(
    said: Any, script: str
) -> None:
    doc = (PROJECT / "scripts" / f"{script}.py").read_text().split('"""')[1]
    code, out, err = said(script, "--help")
    assert (code, out.strip(), err) == (0, doc.strip(), "")
    for words in (["wrng=1"], ["--wrng"]):
        code, _, err = said(script, *words)
        assert code == 2
        assert err.startswith("error: ")
        assert "Traceback" not in err


@pytest.mark.parametrize("script", ON_RUNS)
def test_what_was_read_is_printed(said: Any, script: str) -> None:
    code, out, _ = said(script, "run='Ann\\'s run'", "output=null", "--cfg", "job")
    assert (code, yaml.safe_load(out)) == (0, {"run": "Ann's run"})


@pytest.mark.parametrize("script", ["evaluate", "find_batch_size"])
def test_words_of_train_are_read_as_its_own(said: Any, script: str) -> None:
    words = ("model=cnn", "model.pretrained=/tmp/Ann's", "model.widths=[8,8]", "-c", "job")
    code, out, _ = said(script, *words)
    model = yaml.safe_load(out)["model"]
    assert (code, model["pretrained"], model["widths"]) == (0, "/tmp/Ann's", [8, 8])


def test_the_settings_of_a_paper_are_printed(said: Any) -> None:
    code, out, _ = said("paper", "paper=tiny", "paper.seeds=[3]", "--cfg", "job")
    assert (code, yaml.safe_load(out)["paper"]["seeds"]) == (0, [3])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run="], "run is empty: type run=VALUE, or leave it out."),
        (["run=''"], "run is empty: type run=VALUE"),
        (
            ["=x"],
            "=x is not of the form KEY=VALUE, without spaces around the equals sign; the",
        ),
        (["run"], "run is not of the form KEY=VALUE"),
        (
            ["run", "runs/a"],
            "run is not of the form KEY=VALUE: type run=runs/a; the keys are ",
        ),
        (["rnu=x"], "rnu is unknown: did you mean run?"),
        (["output=x"], "run must be given: type run=runs/NAME."),
        (["run=null"], "run must be given"),
        (["run=x", "--cfg", "hydra"], "--cfg hydra: type --cfg job."),
        (["run=x", "--cfg"], "--cfg: type --cfg job."),
    ],
)
def test_a_wrong_word_is_a_sentence(
    words: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["script.py", *words])
    with pytest.raises(UserError) as caught:
        arguments("usage", ("run",), ("output",))
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("a b", "a b"),
        ("'a b'", "a b"),
        ('"Ann\'s"', "Ann's"),
        (r"'Ann\'s'", "Ann's"),
        (r"'a\\\\'", "a\\\\"),
        ("'a' 'b'", "'a' 'b'"),
        ("Ann's", "Ann's"),
        ("'", "'"),
        ("[INST] hi [/INST]", "[INST] hi [/INST]"),
    ],
)
def test_quotes_are_read_as_the_config_reads_them(typed: str, value: str) -> None:
    assert plain_value(typed) == value


@pytest.mark.parametrize("typed", ["a,b c", "[a,b c]", "[ 'a', \"b c\" ]"])
def test_lists_are_read_with_brackets_and_without(typed: str) -> None:
    assert listed({"only": typed}, "only") == ["a", "b c"]
    assert listed({}, "only") == []
