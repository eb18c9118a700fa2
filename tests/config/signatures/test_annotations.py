"""Values are checked against annotations, and annotations are described in words."""

from typing import Any

import pytest

from arclight.config.signatures.annotations import annotation, fits, in_words


@pytest.mark.parametrize(
    ("expected", "good", "bad", "words"),
    [
        ("Optional[int]", [3, None], ["x", 2.5, True], "a whole number or null"),
        ("t.Optional[float]", [3, 0.5, None], ["x"], "a number or null"),
        ("Union[int, str, None]", [3, "x", None], [2.5], "a whole number or text or null"),
        ("typing.Union[int]", [3], ["x"], "a whole number"),
        ('"int | None"', [3, None], ["x"], "a whole number or null"),
        ('list["int"]', [[], [1]], [["x"], 1], "a list of whole numbers"),
        ("tuple[float, float]", [[0.9, 0.99]], [[0.9], [1, 2, 3], 0.9], "a list of two numbers"),
        ("Tuple[float, ...]", [[], [1, 2, 3]], [["x"]], "a list of numbers"),
        ("tuple[int, str]", [[1, "x"]], [["x", 1]], "a list of 2: a whole number, text"),
        ("collections.abc.Sequence[str]", [["a"]], ["a", [1]], "a list of texts"),
        ("Iterable[Count]", [[1]], [[0]], "a list of whole numbers of 1 or more"),
        ("Sequence[Sequence[int]]", [[[1]]], [[1]], "a list of lists of whole numbers"),
        ("list", [[1, "x"]], ["x"], "a list"),
        ("dict[str, int]", [{"a": 1}], [{"a": "x"}, 1], "a mapping to whole numbers"),
        ("Mapping[str, Any]", [{"a": "x"}], [1], "a mapping"),
        ("Annotated[int, 'of something']", [1], ["x"], "a whole number"),
        ('typing.Literal["a", None]', ["a", None], ["b"], "a or null"),
        ("Literal[-1, 1, False]", [-1, 1, False], [0, True], "-1 or 1 or false"),
        ("Share | None", [0.5, None], [1.5], "a number from 0 to 1 or null"),
        ("float | Tensor", [0.5], ["fast"], "a number"),
        ("Whatever", [0.5, "x", None, [1]], [], "Whatever"),
        ("int", [{"_target_": "mylab.sizes.width"}], [{"a": 1}], "a whole number"),
    ],
)
def test_fits_and_in_words(expected: str, good: list[Any], bad: list[Any], words: str) -> None:
    parsed = annotation(expected)
    assert all(fits(value, parsed) for value in good)
    assert not any(fits(value, parsed) for value in bad)
    assert in_words(parsed) == words


def test_missing_annotation_fits_any_value() -> None:
    assert fits("x", None)
    assert fits(None, None)


def test_class_annotation_needs_a_node() -> None:
    parsed = annotation("Augment | None")
    assert not fits(3, parsed, is_part=lambda named: True)
    assert not fits({"flip": True}, parsed, is_part=lambda named: True)
    assert fits({"_target_": "x.Augment"}, parsed, is_part=lambda named: True)
