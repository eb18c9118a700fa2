"""Optuna's samplers, pruners and distributions for a search."""

from typing import Any

import optuna
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial

from arclight.libraries.optuna import PlainCmaEsSampler, quiet
from arclight.search.settings import Search
from arclight.search.space import Parameter


def distribution(
    parameter: Parameter,
) -> CategoricalDistribution | FloatDistribution | IntDistribution:
    """Optuna's description of a parameter."""
    if parameter.choices:
        return CategoricalDistribution(parameter.encoded())
    low, high, log, step = parameter.low, parameter.high, parameter.log, parameter.step
    if parameter.real:
        return FloatDistribution(low, high, log=log, step=step)
    return IntDistribution(int(low), int(high), log=log, step=int(step or 1))


def suggested(trial: Trial, parameter: Parameter) -> Any:
    """The parameter's value in a trial, as Optuna stores it."""
    key, of = parameter.key, distribution(parameter)
    if isinstance(of, CategoricalDistribution):
        return trial.suggest_categorical(key, of.choices)
    if isinstance(of, FloatDistribution):
        return trial.suggest_float(key, of.low, of.high, log=of.log, step=of.step)
    return trial.suggest_int(key, of.low, of.high, log=of.log, step=of.step)


def sampler_of(search: Search, key: int) -> optuna.samplers.BaseSampler:
    seed = key % 2**32
    with quiet():
        if search.sampler == "tpe":
            return optuna.samplers.TPESampler(seed=seed)
        if search.sampler == "cmaes":
            return PlainCmaEsSampler(seed=seed, warn_independent_sampling=False)
        return optuna.samplers.RandomSampler(seed=seed)


def pruner_of(search: Search) -> optuna.pruners.BasePruner:
    after, factor = search.prune_after, search.prune_factor
    if search.pruner == "asha":
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=after, reduction_factor=factor)
    if search.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=after, reduction_factor=factor)
    if search.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=after)
    return optuna.pruners.NopPruner()
