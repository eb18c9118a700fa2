"""Tab completion: tells the shell which words fit at the cursor.

`eval "$(python train.py --shell-completion install=bash)"` enables it in bash, for `train.py` and
every script. If the line has an error, the answer is empty, and no message is shown.
"""

import os
import re
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

FLAGS = ("--shell-completion", "-sc")
INSTALLED = Path(__file__).with_name("completion.bash")
_UNSAFE = re.compile(r"[^\w@%+=:,./~-]", re.ASCII)


def complete(keys: Sequence[str] = (), configs: Sequence[str] = ()) -> None:
    """Answers the shell and ends the program, if a shell has asked.

    Args:
        keys: the script's own keys, in addition to those of the config.
        configs: the names of the configs whose overrides the script accepts.
    """
    command = sys.argv[1:]
    if not command or command[0] not in FLAGS:
        return
    if "install=bash" in command:
        print(INSTALLED.read_text(encoding="utf-8"), end="")
    elif "uninstall=bash" in command:
        print("complete -r python python3; unset -f hydra_bash_completion")
    elif any(word.startswith("query=") for word in command):
        for found in _answer(keys, configs):
            print(found)
    else:
        return
    sys.exit(0)


def _answer(keys: Sequence[str], configs: Sequence[str]) -> list[str]:
    """The words that fit at the cursor, quoted for the shell."""
    line = os.environ.get("COMP_LINE", "")
    point = os.environ.get("COMP_POINT", "")
    try:
        words, word, quoted = split(line[: int(point)] if point.isdigit() else line)
        programs = [n for n, given in enumerate(words) if given.endswith(".py")]
        if not programs:
            return []
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            from arclight.config.help.offers import offers

            found = offers(words[programs[0] + 1 :], word, keys, configs)
    except (Exception, SystemExit):  # the line is incomplete or has an error
        return []
    if quoted is not None:  # the shell only completes the text after the quote
        quote, start = quoted
        return [text[start:].replace(quote, f"{quote}\\{quote}{quote}") for text in found]
    return [_UNSAFE.sub(r"\\\g<0>", text) for text in found]


def split(line: str) -> tuple[list[str], str, tuple[str, int] | None]:
    """The words of a line that ends at the cursor, without the shell's quotes.

    Returns:
        The words before the last one; the last one, which may be empty; and its open quote, if any,
        with its position.
    """
    words, word, begun = list[str](), "", False
    quote, opened, escaped = "", 0, False
    for letter in line:
        if escaped:
            word, escaped = word + letter, False
        elif letter == "\\" and quote != "'":
            escaped = begun = True
        elif quote and letter == quote:
            quote = ""
        elif not quote and letter in "'\"":
            quote, opened, begun = letter, len(word), True
        elif not quote and letter.isspace():
            words += [word] if begun else []
            word, begun = "", False
        else:
            word, begun = word + letter, True
    return words, word, (quote, opened) if quote else None
