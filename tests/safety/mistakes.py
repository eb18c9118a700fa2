"""Runs invalid command lines, each in a fork of this process, and reports how each ends.

    python -m tests.safety.mistakes FILE FOLDER [ready]

Prints a line of JSON for each line of the file: the overrides, the exit code, the output on stderr,
and whether torch was imported. FOLDER is the working directory. With `ready`, torch and Lightning
are imported first, and a valid config trains for a step; otherwise, it is only checked.
"""

import json
import os
import runpy
import shlex
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

PROJECT = Path(__file__).parents[2]
LIMIT = 120  # seconds


def lines(file: Path) -> list[tuple[str, list[str]]]:
    """The overrides, and the texts that the first line of the output must contain."""
    found = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            words, *wanted = line.split(" | ")
            found.append((words.strip(), [want.strip() for want in wanted]))
    return found


def attempt(words: str, more: list[str]) -> dict[str, object]:
    """Runs train.py with these overrides in a fork of this process."""
    with tempfile.TemporaryFile("w+") as said:
        began = time.monotonic()
        child = os.fork()
        if not child:
            _type([*shlex.split(words), *more], said.fileno())
        seconds = 0.0
        while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
            time.sleep(0.005)
            if (seconds := time.monotonic() - began) > LIMIT:
                os.kill(child, signal.SIGKILL)
        said.seek(0)
        text = said.read()
    answer, _, imported = text.rpartition("\nimported: ")
    return {
        "words": words,
        "code": os.waitstatus_to_exitcode(ended[1]),
        "said": answer,
        "torch": imported.strip() == "True",
        "seconds": round(seconds, 2),
    }


def _type(words: list[str], output: int) -> None:
    code = 1
    try:
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.argv = ["train.py", *words]
        runpy.run_path(str(PROJECT / "train.py"), run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(output, f"\nimported: {'torch' in sys.modules}\n".encode())
        os._exit(code)


def main() -> None:
    file, folder = Path(sys.argv[1]).resolve(), sys.argv[2]
    if "ready" in sys.argv:
        import torch

        import arclight.run.fit

        torch.set_num_threads(1)
        more = ["preflight=false", "data.limit=100", "trainer.max_steps=2"]
        assert arclight.run.fit
    else:
        import arclight.config.checks.check
        import arclight.config.help.located
        import arclight.entry.start

        assert "torch" not in sys.modules
        more = ["check=only"]
        assert arclight.config.checks.check
        assert arclight.config.help.located
        assert arclight.entry.start
    os.chdir(folder)
    for words, _ in lines(file):
        alone = words.startswith(("check=", "explain=", "resume="))
        short = [w for w in more if w.partition("=")[0] not in words]
        given = ["check=only"] * (words.startswith("resume=") and more == ["check=only"])
        given = given if alone else short
        print(json.dumps(attempt(words, given)), flush=True)


if __name__ == "__main__":
    main()
