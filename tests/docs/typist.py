"""Types commands of this project in forked processes, so that torch is imported only once.

Run with the folder of `train.py` as its argument. It reads a JSON list of words from each line of
its input, such as `["train.py", "model=vit"]`, and answers each with a line: the exit code and what
was printed.
"""

import gc
import importlib
import json
import os
import runpy
import sys
import tempfile
import traceback
from pathlib import Path

WARM = ("arclight.run.fit", "arclight.entry.start", "matplotlib.backends.backend_agg")
WARM_ZOO = ("arclight_zoo.image.classification", "arclight_zoo.image.cnn")


def typed(words: list[str]) -> tuple[int, str]:
    """The exit code of a command and what it printed."""
    with tempfile.TemporaryFile("w+") as said:
        child = os.fork()
        if not child:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            os._exit(_become(words))
        _, status = os.waitpid(child, 0)
        said.seek(0)
        return os.waitstatus_to_exitcode(status), said.read()


def _become(words: list[str]) -> int:
    """Runs a script as `python` does; returns the exit code."""
    sys.argv = list(words)
    sys.path[0] = str(Path(words[0]).parent.resolve())
    code: object = 0
    try:
        runpy.run_path(str(Path(words[0]).resolve()), run_name="__main__")
    except SystemExit as end:
        code = end.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else 0


def main() -> None:
    os.chdir(sys.argv[1])
    for module in (*WARM, *WARM_ZOO):
        importlib.import_module(module)
    gc.freeze()
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        print(json.dumps(typed(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
