"""Check what was typed: every fault of the config, with the place that its value came from."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from arclight.config.check import check
from arclight.config.fault import ConfigError, Fault
from arclight.config.origin import Link, Origins
from arclight.errors import UserError
from arclight.masking import masked_words


def check_typed(config: dict[str, Any], words: Sequence[str]) -> None:
    """`check`, whose sentences say where the values came from.

    Args:
        config: frozen.
        words: of the command line that it was composed of.

    Raises:
        UserError: one line for each fault of the config.
    """
    try:
        check(config)
    except ConfigError as error:
        raise UserError("\n".join(located(error.faults, words))) from error


def located(faults: Sequence[Fault], words: Sequence[str]) -> list[str]:
    """A line for each fault: its sentence, and the files or words that set its keys."""
    try:
        origins = Origins(words)
    except (HydraException, OmegaConfBaseException):
        return [fault.alone for fault in faults]
    paths = {path for fault in faults for path in fault.paths}
    own = [fault for fault in faults if not any(_follows(p, origins, paths) for p in fault.paths)]
    return [_located(fault, origins) for fault in own]


def _follows(path: str, origins: Origins, faulty: set[str]) -> bool:
    """Whether the key only takes over the value of another one that is at fault."""
    links = origins.links(path)
    source = re.fullmatch(r"\$\{([\w.]+)\}", links[-1].text.strip()) if links else None
    return source is not None and source[1] in faulty


def _located(fault: Fault, origins: Origins) -> str:
    links = {path: link for path in fault.paths if (link := origins.last(path))}
    said = fault.said
    if fault.unset:
        of_files = tuple(path for path, link in links.items() if link.file)
        of_words = dict.fromkeys(link.word for link in links.values() if not link.file)
        if of_files:
            said += replace(fault, paths=of_files).removal
        if of_words and not fault.has_hint:
            said += f" Leave out {shlex.join(masked_words(list(of_words)))}."
    places = [_place(link) for link in links.values() if link.file or link.word not in said]
    return f"{said} ({'; '.join(dict.fromkeys(places))})" if places else said


def _place(link: Link) -> str:
    if link.file is None:
        return f"typed: {masked_words([link.word])[0]}"
    because = re.sub(r" in [^ ]*$|^from .*", "", link.because)
    return f"{link.where}{f', {because}' if because else ''}"
