"""A scikit-learn baseline on the same rows."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from arclight_zoo.gallery.tabular.data import TableData

Baseline = Literal["linear", "forest", "boosting"]


def baseline(kind: Baseline, data: TableData) -> dict[str, float]:
    """Fits on the training rows and returns the scores on the test rows.

    Args:
        kind: `linear` (logistic or ridge regression), `forest` (200 trees) or `boosting`
            (histogram gradient boosting), with scikit-learn's defaults.
        data: `setup` has been called; categories become one-hot.

    Returns:
        `accuracy` and macro `f1`, or `r2` and `mae` in the target's own units.
    """
    from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error, r2_score

    facts = data.facts
    cut = facts.columns.width
    (rows, truth), (asked, wanted) = (
        (_one_hot(part[0].numpy(), cut, facts.columns.cardinalities), part[1].numpy())
        for part in (data.parts["train"], data.parts["test"])
    )
    found = _model(kind, bool(facts.class_names)).fit(rows, truth).predict(asked)
    if facts.class_names:
        return {
            "accuracy": float(accuracy_score(wanted, found)),
            "f1": float(f1_score(wanted, found, average="macro", zero_division=0)),
        }
    return {
        "mae": facts.std * float(mean_absolute_error(wanted, found)),
        "r2": float(r2_score(wanted, found)),
    }


def _model(kind: Baseline, classes: bool) -> Any:
    from sklearn import ensemble, linear_model

    if kind == "linear":
        return linear_model.LogisticRegression(max_iter=5000) if classes else linear_model.Ridge()
    if kind == "forest":
        made = ensemble.RandomForestClassifier if classes else ensemble.RandomForestRegressor
        return made(n_estimators=200, random_state=0)
    boosted = (
        ensemble.HistGradientBoostingClassifier
        if classes
        else ensemble.HistGradientBoostingRegressor
    )
    return boosted(random_state=0)


def _one_hot(rows: NDArray[Any], cut: int, cardinalities: list[int]) -> NDArray[Any]:
    parts = [rows[:, :cut]]
    for i, size in enumerate(cardinalities):
        parts.append(np.eye(size, dtype=rows.dtype)[rows[:, cut + i].astype(int)])
    return np.concatenate(parts, axis=1)
