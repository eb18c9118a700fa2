"""The files beside an exported model: an example that uses it, and its model card."""

from pathlib import Path

from arclight.files import write_text
from arclight.tasks.usage import Usage
from arclight.use.card import card
from arclight.use.example import example
from arclight.use.trained import Trained


def write_beside(
    one: Trained, format: str, place: Path, usage: Usage | None, license: str | None
) -> str | None:
    """Writes `example.py` and `README.md` into an exported folder, or beside an exported file.

    Beside `model.onnx` they are `model_onnx_example.py` and `model_onnx_README.md`, since other
    exports may lie in the same folder.

    Args:
        one: the run.
        format: of the export.
        place: the exported file or folder.
        usage: the example of the task; None: it has none.
        license: for the card; None: not stated.

    Returns:
        The name of the example; None if there is none.
    """
    before = f"{place.parent}/{place.name.replace('.', '_')}_"
    if place.is_dir():
        before = f"{place}/"
    script = Path(f"{before}example.py")
    code = example(usage, format, place, script.name) if usage else None
    if code:
        write_text(script, code)
    content = card(one, format, place, usage, (script.name, code) if code else None, license)
    write_text(Path(f"{before}README.md"), content)
    return script.name if code else None
