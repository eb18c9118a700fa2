"""Check a config and add to each fault the file, line or override that set the value."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from arclight.config.checks.check import check
from arclight.config.checks.combinations import faults_of_the_monitor
from arclight.config.checks.fault import ConfigError, Fault
from arclight.config.help.formats import formats
from arclight.config.help.origin import Link, Origins
from arclight.errors import UserError
from arclight.masking import masked_overrides


def check_typed(config: dict[str, Any], overrides: Sequence[str]) -> None:
    """Checks a config like `check`, and says where the faulty values were set.

    Also checks that the best checkpoint is not the worst; runs that exist can still be read.

    Args:
        config: the frozen config.
        overrides: the overrides that it was composed from.

    Raises:
        UserError: one line for each fault of the config.
    """
    faults = list(faults_of_the_monitor(config))
    try:
        check(config)
    except ConfigError as error:
        faults = [*error.faults, *faults]
    if faults:
        raise UserError("\n".join(located(faults, overrides)))


def located(faults: Sequence[Fault], overrides: Sequence[str]) -> list[str]:
    """Returns a line for each fault: its sentence, and the files or overrides that set its keys."""
    try:
        origins = Origins(overrides)
    except (HydraException, OmegaConfBaseException):
        return [fault.alone for fault in faults]
    paths = {path for fault in faults for path in fault.paths}
    own = [fault for fault in faults if not any(_follows(p, origins, paths) for p in fault.paths)]
    return [_located(fault, origins) for fault in own]


def _follows(path: str, origins: Origins, faulty: set[str]) -> bool:
    """Whether the key is only interpolated from another key that has a fault."""
    links = origins.links(path)
    source = re.fullmatch(r"\$\{([\w.]+)\}", links[-1].text.strip()) if links else None
    return source is not None and source[1] in faulty


def _located(fault: Fault, origins: Origins) -> str:
    links = {path: link for path in fault.paths if (link := origins.last(path))}
    message = fault.message
    if fault.unset:
        of_files = tuple(path for path, link in links.items() if link.file)
        of_overrides = dict.fromkeys(link.override for link in links.values() if not link.file)
        if of_files:
            message += replace(fault, paths=of_files).removal
        if of_overrides and not fault.has_hint:
            message += f" Leave out {shlex.join(masked_overrides(list(of_overrides)))}."
    places = [_place(link) for link in links.values() if link.file or link.override not in message]
    message = f"{message} ({'; '.join(dict.fromkeys(places))})" if places else message
    return "\n".join([message, *_formats(fault, origins)])


def _formats(fault: Fault, origins: Origins) -> list[str]:
    """How the files whose path is missing should look."""
    groups = {path.partition(".")[0] for path in fault.paths if fault.missing}
    return [str(one) for g in groups for one in formats(origins.choices.get(g) or "", g)]


def _place(link: Link) -> str:
    if link.file is None:
        return f"typed: {masked_overrides([link.override])[0]}"
    because = re.sub(r" in [^ ]*$|^from .*", "", link.because)
    return f"{link.where}{f', {because}' if because else ''}"
