"""Folds cover all samples once, are stratified by class, and keep groups together."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra import compose
from hydra.errors import HydraException

from arclight.config.compose import hydra_ready
from arclight.config.help.hydra_errors import in_a_sentence
from arclight.errors import UserError
from arclight_zoo.gallery.segmentation.data import SegmentationData
from arclight_zoo.gallery.tabular.data import TableData
from arclight_zoo.pixels.image_data import ImageData
from arclight_zoo.reading.division import Division
from arclight_zoo.reading.folds import carve_fold, fold_of, group_numbers, joined, require_fold
from arclight_zoo.tokens.labelled_tables import divide, open_classes

LABELS = np.repeat([0, 1, 2], [50, 30, 7])
ALONE = np.arange(len(LABELS))


def test_folds_are_a_stratified_partition() -> None:
    numbers = fold_of(LABELS, ALONE, 5, seed=0)
    counts = pd.crosstab(LABELS, numbers).to_numpy()
    assert counts.sum() == len(LABELS)
    assert (np.ptp(counts, axis=1) <= 1).all()
    assert np.ptp(counts.sum(0)) <= 1
    assert (fold_of(LABELS, ALONE, 5, seed=0) == numbers).all()
    assert (fold_of(LABELS, ALONE, 5, seed=1) != numbers).any()


def test_every_sample_is_tested_once_and_in_one_stage() -> None:
    tested = []
    for fold in range(4):
        train, val, test = carve_fold(LABELS, ALONE, 0.1, fold, 4, seed=0)
        assert sorted([*train, *val, *test]) == ALONE.tolist()
        tested += test.tolist()
    assert sorted(tested) == ALONE.tolist()


def test_groups_stay_together() -> None:
    groups = np.random.default_rng(0).integers(0, 20, len(LABELS))
    same = joined(ALONE, groups)
    for fold in range(3):
        stages = carve_fold(LABELS, same, 0.2, fold, 3, seed=0)
        seen = [set(groups[rows]) for rows in stages]
        assert not seen[0] & seen[1]
        assert not seen[2] & (seen[0] | seen[1])


def test_copies_join_their_groups() -> None:
    same = np.array([0, 1, 0, 3, 4])  # the third is a copy of the first
    found = joined(same, group_numbers(["a", "a", "b", "b", None]))
    assert len(set(found[:4])) == 1
    assert found[4] != found[0]
    assert (joined(same, None) == same).all()


@pytest.mark.parametrize(
    ("fold", "folds", "sentence"),
    [(1, None, "data.folds=5"), (0, 1, "should be 2 or more"), (5, 5, "from 0 to 4")],
)
def test_a_fold_that_does_not_exist_is_rejected(
    fold: int, folds: int | None, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        require_fold(fold, folds)


def test_the_folds_of_an_image_set_are_tested_once_each() -> None:
    tested = []
    for fold in range(3):
        data = ImageData("sklearn:digits", folds=3, fold=fold, val_fraction=0.1)
        data.setup()
        sizes = data.facts.sizes
        assert sum(sizes.values()) == 1797
        assert min(sizes.values()) > 0
        tested += data.parts["test"].rows.tolist()
    assert sorted(tested) == list(range(1797))
    with pytest.raises(UserError, match=r"has no columns: type data.group_column=null"):
        ImageData("sklearn:digits", group_column="writer").setup()


def test_texts_of_one_group_stay_on_one_side(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "text": [f"a text of number {i}" for i in range(60)],
            "label": ["yes", "no"] * 30,
            "author": [f"author {i // 6}" for i in range(60)],
        }
    )
    table.to_csv(tmp_path / "texts.csv", index=False)
    found = open_classes(str(tmp_path / "texts.csv"), None, None, "author")
    for fold in range(3):
        division = Division(fractions=(0.2, 0.2), fold=fold, folds=3)
        used = divide(found.texts, found.labels, division, found.groups)
        authors = [set(table["author"].iloc[rows]) for _, rows in used.values()]
        assert sum(map(len, authors)) == 10  # no author on two sides


def test_the_folds_of_a_table_keep_groups_out_of_the_inputs_and_together(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    table = pd.DataFrame(draw.normal(size=(90, 2)), columns=["x", "y"])
    table["patient"], table["target"] = np.repeat(np.arange(30), 3), draw.integers(0, 2, 90)
    table.to_csv(tmp_path / "rows.csv", index=False)
    tested = []
    for fold in range(3):
        data = TableData(str(tmp_path / "rows.csv"), folds=3, fold=fold, group_column="patient")
        data.setup()
        inputs = data.facts.columns
        assert inputs.numbers == ["x", "y"]
        rows = {
            name: np.abs(
                part[0][:, :1].numpy() * inputs.stds[0] + inputs.means[0] - table["x"].to_numpy()
            ).argmin(1)
            for name, part in data.parts.items()
        }
        patients = {name: set(table["patient"][own]) for name, own in rows.items()}
        assert not patients["test"] & (patients["train"] | patients["val"])
        assert not patients["train"] & patients["val"]
        tested += rows["test"].tolist()
    assert sorted(tested) == list(range(90))


def test_the_folds_of_masks_are_tested_once_each() -> None:
    tested = [
        data.parts["test"]
        for fold in range(2)
        for data in [SegmentationData("sklearn:scenes", folds=2, fold=fold)]
        if data.setup() is None
    ]
    assert [len(part) for part in tested] == [800, 800]
    assert len({part.numpy().tobytes() for one in tested for part in one}) == 1600


@pytest.mark.parametrize("words", [["model=gpt"], ["experiment=project"]])
def test_data_without_folds_reject_them(words: list[str]) -> None:
    with hydra_ready(), pytest.raises(HydraException) as raised:
        compose("train", overrides=[*words, "data.folds=5"])
    assert "cannot be split into folds" in in_a_sentence(raised.value)
