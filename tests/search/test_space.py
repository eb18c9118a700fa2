"""Valid and invalid descriptions of a search space."""

import itertools

import pytest

from arclight.errors import UserError
from arclight.search.space import assignments, parse


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (3, "is 3; describe it as"),
        ({}, "both low and high"),
        ({"low": 1}, "both low and high"),
        ({"low": 2, "high": 1}, "low should be less"),
        ({"low": 0.0, "high": 1.0, "log": True}, "logarithmic"),
        ({"low": 1.0, "high": 2.0, "log": True, "step": 0.1}, "leave one out"),
        ({"low": 0, "high": 1, "choices": [1]}, "leave one out"),
        ({"low": "a", "high": 1}, "numbers"),
        ({"low": 0, "high": 4, "step": 0}, "more than 0"),
        ({"choices": []}, "a list of choices"),
        ({"choises": [1]}, "did you mean choices?"),
        ({"choices": [1], "when": {"other": 1}}, "comes before it"),
    ],
)
def test_an_invalid_description_is_a_user_error(node: object, said: str) -> None:
    with pytest.raises(UserError, match=r"^search\.space: a\.b ") as error:
        parse({"a.b": node})
    assert said in str(error.value)


def test_all_errors_are_reported_together() -> None:
    with pytest.raises(UserError) as error:
        parse({"a": 1, "b": {"choices": [1]}, "c": {}})
    assert len(str(error.value).splitlines()) == 2


def test_a_grid_has_every_point_once_and_conditions_hold_in_it() -> None:
    space = parse(
        {
            "optimizer": {"choices": ["adamw", "sgd"]},
            "optimizer.momentum": {
                "low": 0.5,
                "high": 0.7,
                "step": 0.1,
                "when": {"optimizer": "sgd"},
            },
            "model.n_layers": {"low": 1, "high": 2},
        }
    )
    points = list(assignments(space))
    expected = [{"optimizer": "adamw", "model.n_layers": n} for n in (1, 2)] + [
        {"optimizer": "sgd", "optimizer.momentum": pytest.approx(m), "model.n_layers": n}
        for m, n in itertools.product((0.5, 0.6, 0.7), (1, 2))
    ]
    assert points == expected


def test_a_continuous_range_has_no_grid() -> None:
    (parameter,) = parse({"lr": {"low": 0.1, "high": 0.2}})
    with pytest.raises(UserError, match="no points for a grid"):
        parameter.points()


def test_lists_are_stored_as_text_and_restored() -> None:
    (parameter,) = parse({"widths": {"choices": [[1, 2], [3], None]}})
    assert parameter.encoded() == ["[1, 2]", "[3]", None]
    assert [parameter.decode(c) for c in parameter.encoded()] == [[1, 2], [3], None]
