"""Error handling shared by all commands: user errors print one sentence and exit with code 2."""

import errno
import os
import select
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from traceback import format_exception, walk_tb
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from arclight.cells import visible
from arclight.config.project import PROJECT
from arclight.dotenv import read_dotenv
from arclight.errors import RunFailedError, UserError
from arclight.masking import mask_logs, masked, masked_overrides

if TYPE_CHECKING:
    from yaml import MarkedYAMLError

EXIT_USER_ERROR = 2
NO_HOME = "Could not determine home directory"  # as pathlib says


@contextmanager
def plain_errors(configs: Path | None = None) -> Iterator[None]:
    """Prints user errors and Hydra's errors as sentences, and exits with code 2.

    Reads `.env` beside train.py first. `HYDRA_FULL_ERROR=1` in the environment shows the traceback
    instead.

    Args:
        configs: the config folder, to suggest the key that was meant and to find further faults.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import MarkedYAMLError

    from arclight.config.help.resolvers import register_help
    from arclight.config.overrides import OverridesError

    register_help()
    sys.excepthook = _masked_traceback
    read_dotenv(PROJECT / ".env")
    masked_overrides(sys.argv[1:])  # remembers the secrets that must not be written
    mask_logs()
    before = os.environ.get("HYDRA_FULL_ERROR", "0")
    full = before != "0"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let Hydra raise, so that we write the message
    try:
        yield
    except UserError as error:
        if full:
            raise
        more = _others(error.rest, configs) if isinstance(error, OverridesError) else []
        _end("\n".join([str(error), *more]))
    except RunFailedError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except RuntimeError as error:
        if full or NO_HOME not in str(error):
            raise
        _end(without_home())
    except (HydraException, OmegaConfBaseException) as error:
        if full:
            raise
        _end(_complaint(error, configs))
    except ValueError as error:
        file = _with_defaults(error)
        if full or file is None:
            raise
        _end(f"The defaults of {file} have an option that is not a text: {error}.")
    except BrokenPipeError:
        if full or not _is_closed(sys.stdout):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it at exit
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:  # some errors of Hydra are OSErrors
        if full or error.errno != errno.ENAMETOOLONG:
            raise
        name = max(Path(str(error.filename)).parts, key=len)
        _end(f"{name[:40]}... is too long for the name of a file or folder: type a shorter one.")
    except MarkedYAMLError as error:
        if full:
            raise
        _end(_not_yaml(error))
    finally:
        os.environ["HYDRA_FULL_ERROR"] = before


def _with_defaults(error: ValueError) -> str | None:
    """The config whose defaults list Hydra could not read, such as `experiment/mine`."""
    if "in defaults" not in str(error):
        return None
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    paths = [frame.f_locals.get("config_path") for frame in frames]
    return next((path for path in reversed(paths) if isinstance(path, str)), None)


def _is_closed(stream: TextIO) -> bool:
    """Whether nobody reads what is written, as with `| head`."""
    poll = select.poll()
    poll.register(stream.fileno(), select.POLLOUT)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def without_home() -> str:
    """Returns the sentence about a path that begins with ~, if the user has no home directory."""
    return "A path begins with ~, but this user has no home directory: type the whole path."


def _masked_traceback(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Prints the traceback with secrets masked, since a scheduler writes it to a log file."""
    print(masked("".join(format_exception(kind, error, trace))), end="", file=sys.stderr)


def _end(sentence: str) -> None:
    print(f"error: {visible(masked(sentence))}", file=sys.stderr)
    sys.exit(EXIT_USER_ERROR)


def _complaint(error: Exception, configs: Path | None) -> str:
    from arclight.config.help.hydra_errors import in_a_sentence

    return "\n".join(_others(sys.argv[1:], configs)) or in_a_sentence(error)


def _others(overrides: Sequence[str], configs: Path | None) -> list[str]:
    """The faults of a command line, if the command has a config folder."""
    from arclight.config.help.every_fault import every_fault

    return every_fault(overrides, configs) if configs else []


def _not_yaml(error: "MarkedYAMLError") -> str:
    mark = error.problem_mark
    where = f"{mark.name}, line {mark.line + 1}, is" if mark else "A config is"
    return f"{where} not valid YAML: {error.problem}."
