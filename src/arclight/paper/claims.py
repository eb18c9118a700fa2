"""The language of claims: one line says what must hold between rows, or of one."""

import re
from dataclasses import dataclass
from typing import Literal

from arclight.config.suggest import did_you_mean
from arclight.errors import UserError
from arclight.paper.differences import Region

Kind = Literal["compare", "equal", "value"]

_NAME = r"[\w.-]+"
_METRIC = r"[\w./@-]+"
_NUMBER = r"[-+]?\d[\d_,]*(?:\.\d+)?(?:[eE][-+]?\d+)?\s*[KMBG]?"
_IN = rf"(?:\s+in\s+(?P<column>{_NAME}))?"
_FORMS: dict[Kind, re.Pattern[str]] = {
    "compare": re.compile(
        rf"(?P<row>{_NAME})\s*(?P<sign>[<>])\s*(?P<other>{_NAME})\s+on\s+(?P<metric>{_METRIC})"
        rf"(?:\s+by\s+(?P<threshold>{_NUMBER}))?{_IN}"
    ),
    "equal": re.compile(
        rf"(?P<row>{_NAME})\s*==\s*(?P<other>{_NAME})\s+on\s+(?P<metric>{_METRIC})"
        rf"(?:\s+within\s+(?P<threshold>{_NUMBER}))?{_IN}"
    ),
    "value": re.compile(
        rf"(?:(?P<metric>{_METRIC})\((?P<row>{_NAME})\)|(?P<row_>{_NAME})\s+(?P<metric_>{_METRIC}))"
        rf"\s*=\s*(?P<value>{_NUMBER})\s*(?:\+-|±)\s*(?P<threshold>{_NUMBER})\s*(?P<percent>%)?{_IN}"
    ),
}
_FACTORS = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9, "G": 1e9}

EXACT = ("parameters",)  # of a row: the same for every seed


@dataclass(frozen=True)
class Claim:
    """A claim, as it was written and as it is judged.

    Attributes:
        text: as written.
        kind: `compare` two rows, hold two rows for `equal`, or hold one against a `value`.
        row: the row that is spoken of.
        other: the row that it is compared with; None: a value.
        metric: of `summary.json`.
        holds: the verdict on row minus other (or minus value) with which the claim holds.
        threshold: differences no larger than this do not matter; None: the paper's.
        value: what the metric should be.
        column: the only column that counts; None: the mean over all.
    """

    text: str
    kind: Kind
    row: str
    other: str | None
    metric: str
    holds: Region
    threshold: float | None
    value: float | None
    column: str | None

    @property
    def is_exact(self) -> bool:
        return self.metric in EXACT


def parse(text: str) -> Claim:
    """Reads a claim.

    Raises:
        UserError: it is not a claim.
    """
    for kind, form in _FORMS.items():
        if found := form.fullmatch(text.strip()):
            return _claim(text.strip(), kind, found)
    raise UserError(
        f'The claim "{text}" cannot be read; claims are like\n'
        "  vit > cnn on test/accuracy\n"
        "  vit > cnn on test/accuracy by 0.01 in digits\n"
        "  cnn == cnn_wide on test/accuracy within 0.005\n"
        "  cnn test/accuracy = 0.997 +- 0.002\n"
        "  parameters(resnet50) = 25.6M +- 1%"
    )


def _claim(text: str, kind: Kind, found: re.Match[str]) -> Claim:
    parts = found.groupdict()
    threshold = number(parts["threshold"]) if parts["threshold"] else None
    value = number(parts["value"]) if kind == "value" else None
    if parts.get("percent"):
        assert threshold is not None
        assert value is not None
        threshold *= abs(value) / 100
    holds: Region = "equal"
    if kind == "compare":
        holds = "better" if parts["sign"] == ">" else "worse"
    return Claim(
        text=text,
        kind=kind,
        row=parts["row"] or parts["row_"],
        other=parts.get("other"),
        metric=parts["metric"] or parts["metric_"],
        holds=holds,
        threshold=threshold,
        value=value,
        column=parts["column"],
    )


def number(text: str) -> float:
    """A number as papers write it: `25.6M`, `1e-3`, `1,797`."""
    plain = re.sub(r"[\s_,]", "", text)
    factor = plain[-1] if plain[-1] in _FACTORS else ""
    return float(plain.removesuffix(factor)) * _FACTORS[factor]


def require_known(claims: list[Claim], rows: list[str], columns: list[str]) -> None:
    """Raises `UserError` naming each row and column of the claims that the paper does not have."""
    faults = []
    for claim in claims:
        for name in (claim.row, claim.other):
            if name is not None and name not in rows:
                hint = did_you_mean(name, rows)
                faults.append(
                    f'The claim "{claim.text}" speaks of no row of the paper: {name}{hint}'
                )
        if claim.column is not None and claim.column not in columns:
            hint = did_you_mean(claim.column, columns)
            faults.append(
                f'The claim "{claim.text}" names no column of the paper: {claim.column}{hint}'
            )
        if claim.kind == "equal" and claim.threshold == 0:
            faults.append(f'The claim "{claim.text}" can never hold: say within how much.')
    if faults:
        raise UserError("\n".join(faults))
