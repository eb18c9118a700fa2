"""Predicts how many repetitions the claims need, before anything runs."""

from arclight.paper.claims import Claim
from arclight.paper.differences import ALPHA, POWER, needed, power
from arclight.paper.judge import threshold_of
from arclight.paper.outcomes import Outcomes
from arclight.paper.statistics import spread


def predict_seeds(outcomes: Outcomes) -> list[str]:
    """One line for each claim: the seeds that it needs, and the power of the paper's seeds.

    The true difference is assumed to be `paper.effect` (0 for a claim of equality); the deviation
    is that of existing runs, else `paper.deviation`.
    """
    return [f"{claim.text}: {_of(claim, outcomes)}" for claim in outcomes.paper.all_claims()]


def _of(claim: Claim, outcomes: Outcomes) -> str:
    paper = outcomes.paper
    if claim.is_exact:
        return "needs 1 seed; it has no spread."
    threshold, n = threshold_of(claim, outcomes), len(paper.seeds)
    alpha = ALPHA / max(1, sum(not one.is_exact for one in paper.all_claims()))
    deviation, source = _deviation(claim, outcomes)
    if deviation is None:
        unit = needed(claim.holds if claim.holds != "equal" else "better", 1.0, 1.0, 0.0, alpha)
        return (
            f"needs {unit} seeds if the difference is as large as its deviation between seeds; "
            f"type paper.deviation=NUMBER to give the expected deviation. The paper has {n}."
        )
    effect = 0.0
    if claim.holds != "equal":
        size = paper.effect or max(2 * threshold, threshold + deviation)
        effect = size if claim.holds == "better" else -size
    enough = needed(claim.holds, effect, deviation, threshold, alpha)
    reached = power(claim.holds, n, effect, deviation, threshold, alpha)
    many = f"{enough} seeds" if enough else "more than 1000 seeds"
    return (
        f"needs {many} for {POWER:.0%} power at a true difference of {effect:.3g} with deviation "
        f"{deviation:.3g} ({source}); the paper's {n} seeds have {reached:.0%} power."
    )


def _deviation(claim: Claim, outcomes: Outcomes) -> tuple[float | None, str]:
    """The deviation of the differences by seed, if known, and its source."""
    rows = [claim.row] + ([claim.other] if claim.other else [])
    columns = outcomes.columns if claim.column is None else [claim.column]
    found = []
    for row in rows:
        one = spread([outcomes.values(row, column, claim.metric) for column in columns])
        if one is not None and one.deviation:
            found.append(one.deviation**2 / len(columns))
    if len(found) == len(rows):
        return sum(found) ** 0.5, "from existing runs"
    if outcomes.paper.deviation is not None and claim.metric == outcomes.paper.metric:
        return outcomes.paper.deviation, "paper.deviation"
    return None, ""
