"""Code that comes with weights is never run."""

import ast
import json
from pathlib import Path

import pytest
import transformers

from arclight.errors import UserError
from arclight.models.pretrained import ARCHITECTURE, load_pretrained

SRC = Path(__file__).parents[2] / "src"


@pytest.mark.parametrize("name", ["weights", ARCHITECTURE])
@pytest.mark.parametrize("kind", ["AutoModel", "AutoModelForCausalLM"])
def test_a_folder_with_code_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    mark = tmp_path / "mark"
    (folder / "own.py").write_text(f"open({str(mark)!r}, 'w')\n")
    classes = {"AutoConfig": "own.Config", kind: "own.Model"}
    (folder / "config.json").write_text(json.dumps({"model_type": "own", "auto_map": classes}))
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises(UserError, match=r"its own code, which is not run"):
        load_pretrained(getattr(transformers, kind), str(folder))
    assert not mark.exists()


def test_every_call_disables_remote_code() -> None:
    for file in SRC.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if node.func.attr not in ("from_pretrained", "from_config"):
                continue
            if ast.unparse(node.func) == "Tokenizer.from_pretrained":  # of tokenizers: no code
                continue
            words = {word.arg: ast.unparse(word.value) for word in node.keywords}
            assert words.get("trust_remote_code") == "False", f"{file}:{node.lineno}"
