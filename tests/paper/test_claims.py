"""Claims are parsed, and invalid ones are reported."""

import pytest

from arclight.errors import UserError
from arclight.paper.claims import number, parse, require_known


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a > b on test/accuracy", ("compare", "a", "b", "test/accuracy", "better", None, None)),
        ("a < b on test/loss by 1e-2 in d", ("compare", "a", "b", "test/loss", "worse", 0.01, "d")),
        (
            "a == b_2 on test/f1 within 0.005",
            ("equal", "a", "b_2", "test/f1", "equal", 0.005, None),
        ),
        (
            "a test/accuracy = 0.997 +- 0.002",
            ("value", "a", None, "test/accuracy", "equal", 0.002, None),
        ),
        (
            "parameters(r50) = 25.6M +- 1%",
            ("value", "r50", None, "parameters", "equal", 256e3, None),
        ),
    ],
)
def test_a_claim_is_parsed(text: str, found: tuple[object, ...]) -> None:
    claim = parse(text)
    assert claim.text == text
    said = (claim.kind, claim.row, claim.other, claim.metric, claim.holds)
    assert (*said, claim.threshold, claim.column) == pytest.approx(found)


@pytest.mark.parametrize(
    ("text", "value"), [("25.6M", 25.6e6), ("1,797", 1797), ("1e-3", 1e-3), ("1.5B", 1.5e9)]
)
def test_numbers_are_those_of_papers(text: str, value: float) -> None:
    assert number(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["a is better", "a > b", "a > on test/accuracy", "a x = 5"])
def test_invalid_claims_are_user_errors(text: str) -> None:
    with pytest.raises(UserError, match=r"cannot be parsed; claims are like"):
        parse(text)


def test_unknown_rows_and_columns_are_reported() -> None:
    claims = [parse("cn > vit on test/accuracy in mnist")]
    with pytest.raises(UserError, match=r"unknown row: cn: did you mean cnn") as caught:
        require_known(claims, ["cnn", "vit"], ["digits"])
    assert "unknown column: mnist" in str(caught.value)
