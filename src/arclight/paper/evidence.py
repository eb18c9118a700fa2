"""The claims with their evidence, as Markdown and CSV rows."""

from collections.abc import Sequence
from typing import Any

from arclight.paper.judge import Judgement
from arclight.paper.outcomes import Outcomes
from arclight.report.rows import digits_of
from arclight.report.tables import markdown

STATISTICS = ("deviation", "low", "high", "threshold")
WORDS = {"holds": "holds", "fails": "FAILS", "undecided": "undecided"}


def claims_markdown(judgements: Sequence[Judgement], outcomes: Outcomes) -> str:
    """All claims with their verdicts and evidence."""
    if not judgements:
        return "# Claims\n\nThe paper has none.\n"
    rows = [
        {"claim": j.claim.text, "verdict": WORDS[j.holds], "why": reason(j)} for j in judgements
    ]
    parts = ["# Claims", markdown(rows), *(_evidence(j) for j in judgements), _note(judgements)]
    return "\n\n".join(parts) + "\n"


def reason(judgement: Judgement) -> str:
    """The reason for the verdict, as a clause."""
    found = judgement.difference
    if found is None:
        return "no run has the metric yet"
    digits = digits_of(found.deviation or abs(found.threshold))
    size = f"{found.mean:+.{digits}f}"
    if judgement.claim.is_exact:
        other = judgement.claim.other or "the value"
        return f"differs from {other} by {found.mean:+,.0f}; allowed: {found.threshold:,.0f}"
    if found.low is None or found.high is None:
        return f"{size} from {found.n} seed; at least two are needed" + _more(judgement)
    interval = f"[{found.low:+.{digits}f}, {found.high:+.{digits}f}]"
    said = f"{size} {interval} over {found.n} seeds, p = {judgement.p:.2g}"
    verdict = "" if judgement.verdict == "undecided" else f"{judgement.verdict}: "
    return verdict + said + _more(judgement)


def _more(judgement: Judgement) -> str:
    found = judgement.difference
    if judgement.holds != "undecided" or found is None:
        return ""
    if judgement.needed is None:
        if found.deviation is None:
            return "; type paper.seeds=[0,1,2] for a first answer"
        return "; 80% power would need more than 1000 seeds"
    more = max(1, judgement.needed - found.n)
    seeds = "seed" if more == 1 else "seeds"
    return f"; 80% power needs {more} more {seeds}, {found.n + more} in total"


def _evidence(judgement: Judgement) -> str:
    claim, found = judgement.claim, judgement.difference
    lines = [f"## {claim.text}", f"**{WORDS[judgement.holds]}**: {reason(judgement)}."]
    if judgement.improvement is not None:
        value, low, high = judgement.improvement
        lines.insert(
            1,
            f"Probability that a run of {claim.row} is above one of {claim.other}: "
            f"{value:.2f} [{low:.2f}, {high:.2f}].",
        )
    if found is not None and not claim.is_exact:
        lines.append(
            f"Seeds {', '.join(map(str, judgement.seeds))}; differences up to "
            f"{found.threshold:g} do not matter."
        )
    for column, both in judgement.examples.items():
        lines.append(
            f"By example on {column}, first seed: only {claim.row} is correct on "
            f"{both.only_first}, only {claim.other} on {both.only_second} of {both.n} examples; "
            f"McNemar's exact p = {both.p:.2g}; difference {both.difference:+.4f} "
            f"[{both.low:+.4f}, {both.high:+.4f}] (bootstrap of the examples)."
        )
    return "\n\n".join(lines)


def _note(judgements: Sequence[Judgement]) -> str:
    looks = judgements[0].looks
    said = (
        "A verdict is better (or worse) if the 95% interval of the mean difference is beyond the "
        "threshold (paired t-test by seed), and equal if two one-sided tests at 5% place it within "
        "the threshold. p is corrected for the number of claims (Holm)"
    )
    if looks > 1:
        return said + (
            f" and multiplied by {looks}, because this is test {looks} of these claims, on other "
            "runs than before."
        )
    return said + "."


def claims_rows(judgements: Sequence[Judgement]) -> list[dict[str, Any]]:
    """Rows for `claims.csv`, with all digits."""
    rows = []
    for j in judgements:
        found, chance = j.difference, j.improvement or (None, None, None)
        rows.append(
            {
                "claim": j.claim.text,
                "holds": j.holds,
                "verdict": j.verdict,
                "seeds": getattr(found, "n", 0),
                "difference": getattr(found, "mean", None),
                **{key: getattr(found, key, None) for key in STATISTICS},
                "p": j.p,
                "improvement": chance[0],
                "improvement low": chance[1],
                "improvement high": chance[2],
                "needed": j.needed,
                "looks": j.looks,
            }
        )
    return rows
