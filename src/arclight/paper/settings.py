"""The settings of a paper, explained in `configs/paper/_paper.yaml`."""

from dataclasses import dataclass, field
from typing import Any, Literal

from arclight.config.suggest import did_you_mean
from arclight.errors import UserError
from arclight.metric_names import better_direction
from arclight.paper.claims import Claim, parse, require_known
from arclight.ranges import Count, Natural, NonNegative, Positive

VARY = ("init", "order", "split", "fold")
WHOLE = "all"  # the name of the only column, if a paper has no columns


@dataclass(frozen=True)
class Row:
    """A row or column: its name and overrides.

    Attributes:
        words: the overrides, as after `python train.py`.
        space: search space of its tuning, in addition to that of all rows.
    """

    name: str
    words: list[str]
    space: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Tune:
    """The search for each row and column, before the repetitions.

    Attributes:
        n_trials: number of trials, the same for each row and column.
        space: see `configs/search/_search.yaml`; a row can add keys.
        sampler: see `configs/search/_search.yaml`.
        seed: of the sampler.
        overrides: overrides only for the trials.
    """

    n_trials: Count
    space: dict[str, Any] = field(default_factory=dict)
    sampler: Literal["tpe", "random", "cmaes"] = "random"
    seed: int = 0
    overrides: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Paper:
    """The settings of a paper, explained in `configs/paper/_paper.yaml`."""

    name: str
    dir: str
    rows: Any
    metric: str
    title: str | None = None
    columns: Any = None
    overrides: list[str] = field(default_factory=list)
    before: Any = None
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2, 3, 4])
    vary: list[str] = field(default_factory=lambda: ["init", "order"])
    folds: Count | None = None
    mode: Literal["max", "min"] | None = None
    threshold: NonNegative = 0.0
    claims: list[str] = field(default_factory=list)
    effect: Positive | None = None
    deviation: Positive | None = None
    tune: dict[str, Any] | None = None
    curve: str | None = None
    workers: Count | None = None
    threads: Count | None = None
    gpus_per_trial: Positive = 1.0
    retry: Natural = 2
    again: bool = False
    mixed: bool = False
    check: bool = False
    evidence: str | None = None
    dry_run: bool = False

    def faults(self) -> list[str]:
        """One line for each setting with an invalid value."""
        found = []
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            found.append(f"paper.seeds={self.seeds} should be a list of different seeds.")
        if not self.vary:
            found.append(f"paper.vary is empty: give at least one of {', '.join(VARY)}.")
        found += [
            f"paper.vary: {name} is unknown{did_you_mean(name, list(VARY))}"
            for name in self.vary
            if name not in VARY
        ]
        if ("fold" in self.vary) != (self.folds is not None):
            found.append(
                "paper.vary=[fold] and paper.folds go together: type paper.folds=5, and seeds "
                "from 0 to 4."
            )
        elif self.folds and any(not 0 <= seed < self.folds for seed in self.seeds):
            found.append(
                f"paper.seeds={self.seeds} are folds, because of paper.vary=[fold]: they should "
                f"be from 0 to {self.folds - 1}."
            )
        return found

    def all_rows(self) -> list[Row]:
        return _named(self.rows, "rows")

    def all_columns(self) -> list[Row]:
        return _named(self.columns, "columns") if self.columns else [Row(WHOLE, [])]

    def all_before(self) -> list[Row]:
        return _named(self.before, "before") if self.before else []

    def all_claims(self) -> list[Claim]:
        """Parses the claims; raises `UserError` for invalid claims and unknown rows or columns."""
        claims = [parse(text) for text in self.claims]
        rows = [row.name for row in self.all_rows()]
        require_known(claims, rows, [column.name for column in self.all_columns()])
        return claims

    def tuning(self) -> Tune | None:
        """The settings of the tuning, or None; raises `UserError` for invalid keys or numbers."""
        if self.tune is None:
            return None
        known = list(Tune.__dataclass_fields__)
        for key in self.tune:
            if key not in known:
                raise UserError(f"paper.tune.{key} is unknown{did_you_mean(key, known)}")
        if not isinstance(self.tune.get("n_trials"), int) or self.tune["n_trials"] < 1:
            raise UserError(
                "paper.tune.n_trials should be a number of 1 or more: the same for every row."
            )
        return Tune(**self.tune)

    @property
    def upwards(self) -> bool:
        """Whether larger values of the metric are better."""
        if self.mode is not None:
            return self.mode == "max"
        return is_upwards(self.metric)


def is_upwards(metric: str) -> bool:
    """Whether larger values are better, by the metric's name."""
    return better_direction(metric) != "min"


def _named(node: Any, key: str) -> list[Row]:
    """Rows from a mapping of names to overrides, or from a list of experiments.

    Raises:
        UserError: the node has another form.
    """
    if isinstance(node, list) and all(isinstance(name, str) for name in node):
        node = {name: [f"experiment={name}"] for name in node}
    if not isinstance(node, dict) or not node:
        raise UserError(
            f"paper.{key} should be experiments, such as [digits_cnn, digits_vit], or names with "
            "overrides, such as {cnn: [model=cnn], vit: [model=vit, optimizer.lr=1e-3]}."
        )
    return [_row(str(name), value, key) for name, value in node.items()]


def _row(name: str, value: Any, key: str) -> Row:
    space: dict[str, Any] = {}
    if isinstance(value, dict) and set(value) <= {"words", "space"}:
        space, value = value.get("space") or {}, value.get("words")
    if isinstance(value, str):
        value = value.split()
    if value is None:
        value = []
    if not isinstance(value, list) or not all(
        (isinstance(w, str) and "=" in w) or str(w).startswith("~") for w in value
    ):
        raise UserError(
            f"paper.{key}.{name}={value} should be overrides, such as [model=vit, "
            "optimizer.lr=1e-3]."
        )
    if "/" in name or name.startswith("."):
        raise UserError(f"paper.{key}: {name} cannot be the name of a folder; choose another name.")
    return Row(name, [str(word) for word in value], space)
