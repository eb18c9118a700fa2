"""Tests the claims on the runs: a verdict for each, with its evidence."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from arclight.files import write_json
from arclight.paper.claims import Claim
from arclight.paper.differences import (
    ALPHA,
    Difference,
    difference,
    exactly,
    needed,
    resolution,
)
from arclight.paper.examples import Paired, paired
from arclight.paper.outcomes import Outcomes
from arclight.paper.statistics import holm, improvement_interval
from arclight.reading import read_json

Holds = Literal["holds", "fails", "undecided"]

LOOKS = "looks.json"


@dataclass(frozen=True)
class Judgement:
    """The verdict on a claim, and its evidence.

    Attributes:
        claim: the claim.
        difference: between the two rows by seed (or row and value); None: there are no runs.
        seeds: the seeds that both rows have.
        p: of the likeliest verdict, corrected for the number of claims and earlier looks.
        verdict: better, worse, equal or undecided: the row compared with the other.
        holds: whether the claim holds.
        improvement: the probability that a run of the row beats one of the other, with its
            interval: value, low, high.
        needed: total repetitions for 80% power if undecided; None: more than 1,000.
        examples: by column, the comparison of the first common seed example by example.
        looks: how often these claims were tested on different runs, including this time.
    """

    claim: Claim
    difference: Difference | None
    seeds: tuple[int, ...]
    p: float | None
    verdict: str
    holds: Holds
    improvement: tuple[float, float, float] | None
    needed: int | None
    examples: dict[str, Paired]
    looks: int


def judge(outcomes: Outcomes, looks: int = 1) -> list[Judgement]:
    """Tests all claims of the paper.

    Args:
        outcomes: the runs.
        looks: see `look`.
    """
    claims = outcomes.paper.all_claims()
    evidence = [_evidence(claim, outcomes) for claim in claims]
    found = [_difference(claim, one, outcomes) for claim, one in zip(claims, evidence, strict=True)]
    ps = holm([1.0 if one is None else one.p for one in found])
    return [
        _judgement(claim, pairs, one, min(1.0, looks * p), looks, _tested(claims), outcomes)
        for claim, pairs, one, p in zip(claims, evidence, found, ps, strict=True)
    ]


def _tested(claims: Sequence[Claim]) -> int:
    """The number of claims with a statistical test, for the correction of p."""
    return max(1, sum(not claim.is_exact for claim in claims))


Pairs = dict[str, dict[int, tuple[float, float]]]  # by column and seed: the values of both rows


def _evidence(claim: Claim, outcomes: Outcomes) -> Pairs:
    """The metric of both rows, by column, for their common seeds."""
    found: Pairs = {}
    for column in outcomes.columns if claim.column is None else [claim.column]:
        mine = outcomes.finished(claim.row, column, claim.metric)
        if claim.other is None:
            found[column] = {seed: (value, claim.value or 0.0) for seed, value in mine.items()}
        else:
            theirs = outcomes.finished(claim.other, column, claim.metric)
            found[column] = {s: (mine[s], theirs[s]) for s in sorted(mine.keys() & theirs.keys())}
    return found


def _seeds(pairs: Pairs) -> tuple[int, ...]:
    """The seeds for which every column has a pair."""
    shared = set.intersection(*(set(by_seed) for by_seed in pairs.values()))
    return tuple(sorted(shared))


def threshold_of(claim: Claim, outcomes: Outcomes) -> float:
    """The claim's threshold, else the paper's if the claim is about the paper's metric."""
    if claim.threshold is not None:
        return claim.threshold
    paper = outcomes.paper
    same = claim.metric == paper.metric
    return paper.threshold if same else 0.0


def _difference(claim: Claim, pairs: Pairs, outcomes: Outcomes) -> Difference | None:
    threshold, seeds = threshold_of(claim, outcomes), _seeds(pairs)
    if not seeds:
        return None
    both = np.array([[pairs[column][s] for s in seeds] for column in pairs])
    steps: NDArray[np.float64] = (both[..., 0] - both[..., 1]).mean(0)
    if claim.is_exact:
        return exactly(float(steps[0]), threshold)
    measured = [both[..., 0], both[..., 1]] if claim.other is not None else [both[..., 0]]
    finest = resolution([column for one in measured for column in one]) / len(pairs)
    return difference(steps, threshold, finest)


def _judgement(
    claim: Claim,
    pairs: Pairs,
    found: Difference | None,
    p: float,
    looks: int,
    claims: int,
    outcomes: Outcomes,
) -> Judgement:
    if found is None:
        return Judgement(claim, None, (), None, "undecided", "undecided", None, None, {}, looks)
    verdict = found.verdict(p)
    holds: Holds = "undecided" if verdict == "undecided" else "fails"
    if verdict == claim.holds:
        holds = "holds"
    seeds = _seeds(pairs)
    chance = None
    if claim.other is not None and not claim.is_exact:
        columns = [np.array([by_seed[s] for s in seeds]) for by_seed in pairs.values()]
        chance = improvement_interval([(both[:, 0], both[:, 1]) for both in columns])
    enough = None
    deviation = found.deviation or outcomes.paper.deviation
    if holds == "undecided" and deviation:
        aim = found.likeliest if found.deviation else claim.holds
        level = ALPHA / (claims * looks)
        enough = needed(aim, found.mean, deviation, found.threshold, level)
    return Judgement(
        claim=claim,
        difference=found,
        seeds=seeds,
        p=p,
        verdict=verdict,
        holds=holds,
        improvement=chance,
        needed=enough,
        examples=_by_example(claim, outcomes),
        looks=looks,
    )


def _by_example(claim: Claim, outcomes: Outcomes) -> dict[str, Paired]:
    """Compares the predictions of the first common seed with predictions, by column."""
    found: dict[str, Paired] = {}
    if claim.other is None:
        return found
    for column in outcomes.columns if claim.column is None else [claim.column]:
        theirs = {o.seed: o for o in outcomes.of(claim.other, column)}
        for mine in outcomes.of(claim.row, column):
            other = theirs.get(mine.seed)
            if mine.examples is None or other is None or other.examples is None:
                continue
            if (both := paired(mine.examples, other.examples)) is not None:
                found[column] = both
            break
    return found


def look(folder: Path, outcomes: Outcomes) -> int:
    """Records that the claims are tested on these runs; returns the number of looks so far.

    Repeated tests with more repetitions increase false positives, so p-values of the k-th look are
    multiplied by k. The same runs do not count again.
    """
    seen = [
        [o.entry.row, o.entry.column, o.seed, o.metric(outcomes.paper.metric)]
        for o in outcomes.all
        if o.ending == "finished"
    ]
    claims = [claim.text for claim in outcomes.paper.all_claims()]
    text = json.dumps([sorted(seen, key=str), claims], sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    file = folder / LOOKS
    known: list[str] = read_json(file)["looks"] if file.is_file() else []
    if key not in known:
        known.append(key)
        write_json(file, {"looks": known})
    return known.index(key) + 1


def exit_code(judgements: Sequence[Judgement]) -> int:
    """0: all claims hold. 1: at least one fails. 3: none fails, but some are undecided."""
    states = {judgement.holds for judgement in judgements}
    return 1 if "fails" in states else 3 if "undecided" in states else 0
