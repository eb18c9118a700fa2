"""Runs examples beside exports in a process that has no arclight: python examples.py JOB.json

The job lists (script, words); the lines that each printed go to JOB.json.out.
"""

import contextlib
import io
import json
import runpy
import sys
import warnings

for name in ("arclight", "arclight_zoo"):
    sys.modules[name] = None  # type: ignore[assignment]  # an import of it fails


def main() -> None:
    place = sys.argv[1]
    with open(place) as file:
        jobs = json.load(file)
    printed = []
    warnings.simplefilter("ignore")
    for script, words in jobs:
        said = io.StringIO()
        sys.argv = [script, *words]
        with contextlib.redirect_stdout(said):
            runpy.run_path(script, run_name="__main__")
        printed.append([json.loads(line) for line in said.getvalue().splitlines()])
        if "onnx" in script:
            assert "torch" not in sys.modules
    with open(f"{place}.out", "w") as file:
        json.dump(printed, file)


if __name__ == "__main__":
    main()
