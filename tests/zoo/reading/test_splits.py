"""Splits are stratified, reproducible, and keep copies on one side."""

import numpy as np
import pytest

from arclight.errors import UserError
from arclight_zoo.reading.splits import carve, choose_splits, hold_out, limited, same_content


def test_splits_are_stratified() -> None:
    labels = np.repeat([0, 1, 2], [100, 50, 10])
    train, val, test = carve(labels, np.arange(160), 0.1, 0.2, seed=0)
    assert sorted([*train, *val, *test]) == list(range(160))
    assert np.bincount(labels[test]).tolist() == [20, 10, 2]
    assert np.bincount(labels[val]).tolist() == [8, 4, 1]


def test_the_seed_changes_the_split() -> None:
    labels = np.zeros(100, dtype=np.int64)
    one, again, other = (carve(labels, np.arange(100), 0.1, 0.1, seed)[1] for seed in (0, 0, 1))
    assert one.tolist() == again.tolist() != other.tolist()


def test_a_class_of_two_is_on_both_sides_and_a_class_of_one_is_kept() -> None:
    labels = np.repeat([0, 1, 2], [50, 2, 1])
    kept, held = hold_out(np.arange(53), labels, np.arange(53), 0.1, key=1)
    assert set(labels[held]) == {0, 1}
    assert set(labels[kept]) == {0, 1, 2}


@pytest.mark.parametrize(("val", "test", "stage"), [(0.1, 0.2, "test"), (0.1, 0, "val")])
def test_a_fraction_that_takes_no_sample_is_rejected(val: float, test: float, stage: str) -> None:
    labels = np.arange(30)  # each of its own class
    with pytest.raises(UserError) as error:
        carve(labels, labels, val, test, seed=0)
    fraction = f"data.{stage}_fraction"
    assert str(error.value) == (
        f"{fraction}={test or val} takes none of 30 samples (each class keeps one for training, "
        f"and equal ones stay together): add data, type a larger {fraction}, or type {fraction}=0 "
        "to do without."
    )
    with pytest.raises(UserError, match=rf"{fraction}=.* takes none of 0 samples"):
        carve(labels[:0], labels[:0], val, test, seed=0)
    pairs = np.repeat(np.arange(30), 2)
    with pytest.raises(UserError, match=r"data\.val_fraction=0.5 takes none of 30 samples"):
        carve(pairs, np.arange(60), 0.5, 0.5, seed=0)


def test_copies_stay_together_even_under_different_labels() -> None:
    rng = np.random.default_rng(0)
    same = rng.integers(0, 150, 600)
    labels = rng.integers(0, 5, 600)
    train, val, test = (set(same[rows]) for rows in carve(labels, same, 0.2, 0.2, seed=0))
    assert not train & val
    assert not train & test
    assert not val & test
    assert min(map(len, (train, val, test))) > 20


def test_same_content() -> None:
    assert same_content([b"a", b"b", b"a", b"", b""]).tolist() == [0, 1, 0, 3, 3]


def test_limited_takes_a_reproducible_subset() -> None:
    rows = np.arange(100, 200)
    few = limited(rows, 10, seed=0)
    assert len(set(few)) == 10
    assert set(few) <= set(rows)
    assert few.tolist() == sorted(limited(rows, 10, seed=0))
    assert limited(rows, None, seed=0) is rows
    assert limited(rows, 100, seed=0) is rows


@pytest.mark.parametrize(
    ("names", "given", "expected"),
    [
        (["train"], (None, None, None), ("train", None, None)),
        (["all"], (None, None, None), ("all", None, None)),
        (["Training", "dev", "test"], (None, None, None), ("Training", "dev", "test")),
        (["train", "validation"], (None, None, "validation"), ("train", None, "validation")),
        (["train", "extra"], ("extra", "train", None), ("extra", "train", None)),
    ],
)
def test_splits_are_found_by_name(
    names: list[str],
    given: tuple[str | None, str | None, str | None],
    expected: tuple[str, str | None, str | None],
) -> None:
    assert choose_splits(names, *given) == expected


def test_a_split_that_does_not_exist_is_rejected() -> None:
    with pytest.raises(UserError, match=r"data\.val_split=dev is not a split .* train, test\."):
        choose_splits(["train", "test"], None, "dev", None)
    with pytest.raises(UserError, match=r"None of the splits a, b is named train: type data\."):
        choose_splits(["a", "b"], None, None, None)
