"""The language of claims: each line states a relation between two rows, or a value of one row."""

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

EXACT = ("parameters",)  # metrics that are the same for every seed


@dataclass(frozen=True)
class Claim:
    """A parsed claim.

    Attributes:
        text: the claim as written.
        kind: `compare`: one row is better; `equal`: two rows are equal; `value`: a row has a value.
        row: the row of the claim.
        other: the row to compare with; None for a value.
        metric: a metric of `summary.json`.
        holds: the verdict on row minus other (or minus value) for which the claim holds.
        threshold: differences up to this do not matter; None: the paper's threshold.
        value: the claimed value.
        column: the column of the claim; None: the mean over all columns.
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
    """Parses a claim.

    Raises:
        UserError: the text is not a claim.
    """
    for kind, form in _FORMS.items():
        if found := form.fullmatch(text.strip()):
            return _claim(text.strip(), kind, found)
    raise UserError(
        f'The claim "{text}" cannot be parsed; claims are like\n'
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
    """Parses a number in the notation of papers: `25.6M`, `1e-3`, `1,797`."""
    plain = re.sub(r"[\s_,]", "", text)
    factor = plain[-1] if plain[-1] in _FACTORS else ""
    return float(plain.removesuffix(factor)) * _FACTORS[factor]


def require_known(claims: list[Claim], rows: list[str], columns: list[str]) -> None:
    """Raises `UserError` listing the rows and columns of the claims that do not exist."""
    errors = []
    for claim in claims:
        for name in (claim.row, claim.other):
            if name is not None and name not in rows:
                hint = did_you_mean(name, rows)
                errors.append(f'The claim "{claim.text}" has an unknown row: {name}{hint}')
        if claim.column is not None and claim.column not in columns:
            hint = did_you_mean(claim.column, columns)
            errors.append(f'The claim "{claim.text}" has an unknown column: {claim.column}{hint}')
        if claim.kind == "equal" and claim.threshold == 0:
            errors.append(f'The claim "{claim.text}" can never hold: add "within NUMBER".')
    if errors:
        raise UserError("\n".join(errors))
