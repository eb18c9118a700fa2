"""Make the loaders of any `LightningDataModule` resume exactly, without changing its code."""

import warnings
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import torch.distributed as dist
from lightning import LightningDataModule
from lightning.pytorch.utilities import CombinedLoader
from torch.utils.data import DataLoader, IterableDataset

from arclight.data.exact.facade import Facade
from arclight.data.exact.identity import Identity, identity
from arclight.data.exact.loader import ExactLoader
from arclight.data.exact.position import Position
from arclight.data.exact.stream_loader import ExactStreamLoader
from arclight.errors import UserError

KEY = "arclight.exact"
"""The key of the position in a checkpoint, in the state of the data module."""
_STAGES = ("train", "val", "test", "predict")


def make_exact(
    data: LightningDataModule,
    seed: int,
    say: Callable[[str], None] = warnings.warn,
    check: int = 2,
) -> "ExactLoaders":
    """Makes all loaders of a data module resume exactly, after any interruption.

    The module's `train_dataloader`, `val_dataloader`, `test_dataloader` and `predict_dataloader`
    then return an `ExactLoader` or an `ExactStreamLoader` for each `DataLoader`, also within
    dictionaries, lists, tuples and `CombinedLoader`s. Other loaders are unchanged. The module's
    `state_dict` and `load_state_dict` also save and load the position.

    Call it before `trainer.fit`; it changes the module in place. A second call has no effect.

    Args:
        data: the data module.
        seed: the seed of the run, for the order, transforms and collating.
        say: called with a sentence if something takes extra time or is not exact.
        check: the number of batches of each training loader that are read twice when a run begins,
            to find data that seeds cannot repeat. It starts the workers twice; 0 turns it off.

    Returns:
        The exact loaders of the module.
    """
    made = getattr(data.state_dict, "__self__", None)
    return made if isinstance(made, ExactLoaders) else ExactLoaders(data, seed, say, check)


class ExactLoaders:
    """The exact loaders of one data module.

    Attributes:
        position: the position of the run in its training data.
        loaders: the current loaders, by name: `train/0`, `val/0`, `val/1`.
        identities: the identities of their datasets, from before the first sample was read.
        made: called with a stage and its loaders right after they are created.
    """

    def __init__(
        self,
        data: LightningDataModule,
        seed: int,
        say: Callable[[str], None] = warnings.warn,
        check: int = 2,
    ) -> None:
        self.data, self.seed, self.say, self.check = data, seed, say, check
        self.made: Callable[[str, list[Any]], None] = lambda stage, loaders: None
        self._reported = ""
        self._before = ""  # why the run was not exact before the interruption
        self.position = Position(data)
        self.loaders: dict[str, Facade] = {}
        self.identities: dict[str, Identity] = {}
        self._kept: list[dict[str, Any]] = []  # state of each rank's streams, from a checkpoint
        self._orders: dict[str, list[int]] = {}  # state of rank 0's other loaders
        self._others: dict[str, str] = {}
        for stage in _STAGES:
            self._replace(f"{stage}_dataloader", partial(self._wrapped, stage))
        self._save, self._load = data.state_dict, data.load_state_dict
        replaced: Any = data  # mypy does not allow assigning to methods
        replaced.state_dict, replaced.load_state_dict = self._state_dict, self._load_state_dict

    @property
    def inexact_because(self) -> str | None:
        """Why an interruption may change the training batches, as sentences; None if it cannot."""
        made = {name: loader.inexact_because for name, loader in self.loaders.items()}
        reasons = {**self._others, **made}
        sentences = [f"{k}: {v}" for k, v in reasons.items() if v and k.startswith("train")]
        return " ".join(sentences) or (self._before if self.position.resumed else "") or None

    def close(self) -> None:
        """Stops all workers."""
        for loader in self.loaders.values():
            loader.close()

    def _replace(self, name: str, wrapped: Callable[[Any], Any]) -> None:
        original = getattr(self.data, name)

        @wraps(original)  # so that Lightning sees whether the user has defined it
        def make() -> Any:
            return wrapped(original())

        setattr(self.data, name, make)

    def _wrapped(self, stage: str, made: Any) -> Any:
        """Replaces each `DataLoader` in the output of a hook."""
        if isinstance(made, (list, tuple, dict)) and not made:  # no loader
            return made
        combined = made if isinstance(made, CombinedLoader) else CombinedLoader(made)
        flat = [self._exact(f"{stage}/{i}", item) for i, item in enumerate(combined.flattened)]
        combined.flattened = flat
        self.made(stage, flat)
        if stage == "train":
            self._check()
        return combined if made is combined else combined.iterables

    def _check(self) -> None:
        """Reads the batches of new loaders twice, only at the start of a run."""
        batches, self.check = 0 if self.position.resumed else self.check, 0
        for name, loader in self.loaders.items():
            if batches and name.startswith("train"):
                loader.check(batches)
        if (reason := self.inexact_because) and reason != self._reported:
            self._reported = reason
            self.say(f"This run cannot be resumed exactly. {reason}")

    def _exact(self, name: str, item: Any) -> Any:
        self._others.pop(name, None)
        self.loaders.pop(name, None)
        if isinstance(item, DataLoader) and name not in self.identities:
            self.identities[name] = identity(item.dataset)
        if not isinstance(item, DataLoader):
            if not (hasattr(item, "state_dict") and hasattr(item, "load_state_dict")):
                self._others[name] = (
                    f"{type(item).__name__} is not a DataLoader and has no state_dict and "
                    "load_state_dict, so it starts from the beginning when the run is resumed."
                )
            return item
        if _overrides_iter(item):
            self._others[name] = (
                f"{type(item).__name__} overrides __iter__, so it cannot be resumed; use a plain "
                "DataLoader, or a loader with state_dict and load_state_dict."
            )
            return item
        trainer = self.data.trainer
        rank, world = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        train = name.startswith("train")
        position = self.position if train else None
        exact: Facade
        if isinstance(item.dataset, IterableDataset):
            kept = self._kept_by(rank, world).get(name)
            exact = ExactStreamLoader(item, self.seed, name, position, rank, kept, self.say)
        else:
            overfits = bool(getattr(trainer, "overfit_batches", 0))
            sequential = overfits and name.startswith(("train", "val"))
            order = () if rank else self._orders.get(f"{name} of {world}", ())
            exact = ExactLoader(item, self.seed, name, position, rank, world, sequential, order)
        self.loaders[name] = exact
        return exact

    def _kept_by(self, rank: int, world: int) -> dict[str, Any]:
        """The state of this rank's streams, if the run is resumed from a checkpoint."""
        if not (self.position.resumed and self._kept):
            return {}
        if len(self._kept) == world:
            return self._kept[rank]
        raise UserError(
            f"The run began on {len(self._kept)} processes, which each read a part of a stream, "
            f"and cannot continue on {world}: use {len(self._kept)} processes."
        )

    def _state_dict(self) -> dict[str, Any]:
        for loader in self.loaders.values():
            if isinstance(loader, ExactLoader):
                loader.watch()  # finds a sampler that was changed since the epoch began
        position = self.position.state_dict()
        at = position.get("epoch", 0), position.get("batch", 0)
        streams = {
            name: loader.keep(*at)
            for name, loader in self.loaders.items()
            if isinstance(loader, ExactStreamLoader) and loader.position is not None
        }
        world = self.data.trainer.world_size if self.data.trainer else 1
        orders = {
            f"{name} of {world}": loader.keep(*at)
            for name, loader in self.loaders.items()
            if isinstance(loader, ExactLoader) and loader.position is not None
        }
        ours = {
            "position": position,
            "orders": orders,
            "streams": _of_all_ranks(streams),
            "inexact": self.inexact_because or "",
        }
        return {**self._save(), KEY: ours}

    def _load_state_dict(self, state_dict: dict[str, Any]) -> None:
        users = {key: value for key, value in state_dict.items() if key != KEY}
        ours = state_dict.get(KEY, {})
        self.position.load_state_dict(ours.get("position", {}))
        self._kept, self._before = ours.get("streams", []), ours.get("inexact", "")
        self._orders = ours.get("orders", {})
        if users:
            self._load(users)


def _of_all_ranks(streams: dict[str, Any]) -> list[dict[str, Any]]:
    """Gathers the state of the streams from all ranks, since one rank writes the checkpoint."""
    if not streams:
        return []
    if not (dist.is_available() and dist.is_initialized()):
        return [streams]
    gathered: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, streams)
    return gathered


def _overrides_iter(loader: "DataLoader[Any]") -> bool:
    """Whether a subclass overrides `__iter__`; those of torchdata only add a position."""
    if type(loader).__module__.split(".")[0] == "torchdata":
        return False
    return type(loader).__iter__ is not DataLoader.__iter__
