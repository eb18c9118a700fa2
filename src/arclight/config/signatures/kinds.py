"""The types of objects that a config can build, and their names in the libraries.

A class is classified by the imports of its base classes. Library bases such as `nn.Module` are
known by name, so torch's source files need not be read.
"""

from functools import lru_cache

from arclight.config.signatures.modules import Definition
from arclight.config.signatures.source import resolve

_SPELLINGS = {
    "Module": "torch.nn.Module torch.nn.modules.module.Module torch.nn.modules.Module",
    "Optimizer": "torch.optim.Optimizer torch.optim.optimizer.Optimizer",
    "LRScheduler": "torch.optim.lr_scheduler.LRScheduler torch.optim.lr_scheduler._LRScheduler",
    "Callback": (
        "lightning.Callback lightning.pytorch.Callback lightning.pytorch.callbacks.Callback "
        "lightning.pytorch.callbacks.callback.Callback lightning.pytorch.callbacks.Checkpoint "
        "lightning.pytorch.callbacks.checkpoint.Checkpoint"
    ),
    "Logger": "lightning.pytorch.loggers.Logger lightning.pytorch.loggers.logger.Logger",
    "Strategy": (
        "lightning.pytorch.strategies.Strategy lightning.pytorch.strategies.strategy.Strategy"
    ),
    "Plugin": (
        "lightning.pytorch.plugins.Precision lightning.pytorch.plugins.precision.Precision "
        "lightning.pytorch.plugins.precision.precision.Precision "
        "lightning.pytorch.plugins.CheckpointIO lightning.pytorch.plugins.io.CheckpointIO "
        "lightning.fabric.plugins.CheckpointIO lightning.fabric.plugins.io.CheckpointIO "
        "lightning.fabric.plugins.io.checkpoint_io.CheckpointIO "
        "lightning.pytorch.plugins.environments.ClusterEnvironment "
        "lightning.fabric.plugins.ClusterEnvironment "
        "lightning.fabric.plugins.environments.ClusterEnvironment "
        "lightning.fabric.plugins.environments.cluster_environment.ClusterEnvironment "
        "lightning.pytorch.plugins.LayerSync lightning.pytorch.plugins.layer_sync.LayerSync"
    ),
    "Profiler": (
        "lightning.pytorch.profilers.Profiler lightning.pytorch.profilers.profiler.Profiler"
    ),
    "Metric": (
        "torchmetrics.Metric torchmetrics.metric.Metric torchmetrics.MetricCollection "
        "torchmetrics.collections.MetricCollection"
    ),
    "Transform": (
        "torchvision.transforms.v2.Transform torchvision.transforms.v2._transform.Transform"
    ),
    "Dataset": (
        "torch.utils.data.Dataset torch.utils.data.dataset.Dataset "
        "torch.utils.data.IterableDataset torch.utils.data.dataset.IterableDataset"
    ),
    "Sampler": "torch.utils.data.Sampler torch.utils.data.sampler.Sampler",
    "LightningModule": (
        "lightning.LightningModule lightning.pytorch.LightningModule "
        "lightning.pytorch.core.LightningModule lightning.pytorch.core.module.LightningModule"
    ),
    "LightningDataModule": (
        "lightning.LightningDataModule lightning.pytorch.LightningDataModule "
        "lightning.pytorch.core.LightningDataModule "
        "lightning.pytorch.core.datamodule.LightningDataModule"
    ),
    "Trainer": (
        "lightning.Trainer lightning.pytorch.Trainer lightning.pytorch.trainer.Trainer "
        "lightning.pytorch.trainer.trainer.Trainer"
    ),
    "Search": "arclight.search.settings.Search",
}

KINDS = {spelling: kind for kind, names in _SPELLINGS.items() for spelling in names.split()}
"""Maps each dotted name of a library's base class to its type."""

# torchvision's v1 transforms have no common base class.
_TRANSFORMS = ("torchvision.transforms.transforms.", "torchvision.transforms.autoaugment.")

# Base classes that do not tell the type of a class.
NEUTRAL = {
    *("object", "builtins.object", "abc.ABC", "typing.Generic", "typing.Protocol"),
    *("typing_extensions.Protocol", "typing_extensions.Generic"),
}


@lru_cache(maxsize=1024)
def kinds(definition: Definition) -> frozenset[str]:
    """Returns the types of a class, found through its bases; `?` means that a base has no source.

    The nearest type counts: a `LightningModule` is not a `Module` as well.
    """
    if definition.name in KINDS:
        return frozenset({KINDS[definition.name]})
    if definition.name.startswith(_TRANSFORMS) and not definition.qualname.startswith("_"):
        return frozenset({"Transform"})
    found: set[str] = set()
    for base in definition.bases():
        if base != definition.name:
            found |= kinds_of_name(base)
    return frozenset(found)


def kinds_of_name(dotted: str | None) -> frozenset[str]:
    """Returns the types of the class with this dotted name."""
    if dotted in KINDS:
        return frozenset({KINDS[dotted]})
    name = dotted.rpartition(".")[2] if dotted else ""
    if dotted in NEUTRAL or name == "object":
        return frozenset()
    found = resolve(dotted) if dotted else None
    if found is None or not found.is_class:
        return frozenset({"?"})
    return kinds(found)
