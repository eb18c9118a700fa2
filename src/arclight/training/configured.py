"""The optimizer and the schedule of the config, in the form that tasks call."""

from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from arclight.config.build import build
from arclight.config.layout import ENGINE_KEYS
from arclight.config.signatures.signature import parameters, takes
from arclight.errors import UserError
from arclight.models.sharded import holds_shards
from arclight.training.optimizers import decay_groups

Node = dict[str, Any]


class ConfiguredOptimizer:
    """Creates the optimizer of the config: any optimizer of torch or another library.

    Called with a module, it creates parameter groups if the config sets `no_decay` or
    `layer_decay`. Called with parameters or parameter groups, it works like a partial.

    Args:
        node: the config's `optimizer`.
    """

    def __init__(self, node: Node) -> None:
        self.node = node

    def __call__(self, params: nn.Module | Iterable[Any], fused: bool = False) -> Optimizer:
        """Creates the optimizer for these parameters.

        Args:
            params: a module, or parameters or groups as torch's optimizers take them.
            fused: allow fused kernels if the optimizer has them.

        Raises:
            UserError: the optimizer rejects the config's values, or there is nothing to train.
        """
        node, engine = _split_keys(self.node, "optimizer")
        target = node["_target_"]
        if takes(target, "model"):  # an optimizer of this package
            made: Optimizer = build(node, group="optimizer", model=params, fused=fused)
            return made
        if isinstance(params, nn.Module):
            params = self._groups(params, node, engine)
        params = list(params)
        may_fuse = fused and not holds_shards(params) and node.get("fused") is None
        given = {"fused": True} if may_fuse and takes(target, "fused") else {}
        optimizer: Optimizer = build(node, group="optimizer", params=params, **given)
        return optimizer

    @staticmethod
    def _groups(module: nn.Module, node: Node, engine: Node) -> list[Any]:
        decay, rate = engine.get("no_decay", False), engine.get("layer_decay") or 1.0
        if not decay and rate == 1:
            return [p for p in module.parameters() if p.requires_grad]
        if rate != 1 and node.get("lr") is None:
            raise UserError("optimizer.layer_decay scales optimizer.lr: type optimizer.lr=VALUE.")
        lr, weight_decay = node.get("lr"), node.get("weight_decay") or 0.0
        groups: list[Any] = decay_groups(module, weight_decay, lr or 0.0, rate)
        for group in groups:
            if lr is None:
                del group["lr"]
            if "weight_decay" not in node:
                del group["weight_decay"]
        return groups


class ConfiguredSchedule:
    """Creates the schedule of the config: any schedule of torch or another library.

    A schedule with a `total_steps` argument is updated after every optimizer step, any other one
    after every epoch, as in Lightning. `interval`, `frequency` and `monitor` of the node change it.

    Args:
        node: the config's `scheduler`.
        origin: the run's step at which it begins.
    """

    def __init__(self, node: Node, origin: int = 0) -> None:
        self.node, self.origin = node, origin

    def __call__(
        self,
        optimizer: Optimizer,
        total_steps: int | None = None,
        steps_per_epoch: int | None = None,
    ) -> LRScheduler | dict[str, Any]:
        """Creates the schedule; with `total_steps`, as the dictionary that Lightning takes.

        Args:
            optimizer: the optimizer to schedule.
            total_steps: optimizer steps of the run; None: return the bare schedule.
            steps_per_epoch: optimizer steps in an epoch.

        Raises:
            UserError: the schedule needs a length or a monitored metric that is not given.
        """
        node, engine = _split_keys(self.node, "scheduler")
        rest = None if total_steps is None else max(1, total_steps - self.origin)
        given = {"total_steps": rest, "steps_per_epoch": steps_per_epoch}
        known = {k: v for k, v in given.items() if v is not None and node.get(k) is None}
        self._require_length(node, known)
        schedule: LRScheduler = build(node, group="scheduler", optimizer=optimizer, **known)
        if total_steps is None:
            return schedule
        by_step = takes(node["_target_"], "total_steps")
        found: dict[str, Any] = {
            "scheduler": schedule,
            "interval": engine.get("interval") or ("step" if by_step else "epoch"),
            "frequency": engine.get("frequency") or 1,
        }
        if isinstance(schedule, ReduceLROnPlateau):
            if not engine.get("monitor"):
                raise UserError(
                    "scheduler.monitor must be given: the metric that ReduceLROnPlateau watches, "
                    "such as scheduler.monitor=val/loss."
                )
            found["monitor"] = engine["monitor"]
        return found

    @staticmethod
    def _require_length(node: Node, known: Node) -> None:
        """Raises `UserError` if the module's code does not pass a required length of the run."""
        wanted = parameters(node["_target_"])
        missing = [
            name
            for name in ("total_steps", "steps_per_epoch")
            if name in wanted and wanted[name].required and name not in (*node, *known)
        ]
        if missing:
            name = node["_target_"].rpartition(".")[2]
            raise UserError(
                f"The schedule {name} needs {' and '.join(missing)}: pass them where it is called "
                "(self.trainer.estimated_stepping_batches), choose a scheduler= without them, "
                "or type +task.scheduler=null if the task works without a schedule."
            )


def _split_keys(node: Node, group: str) -> tuple[Node, Node]:
    """Splits a node into the arguments of the target and the keys of this package.

    `_partial_` is dropped: every target is called later with the remaining arguments.
    """
    node = {k: v for k, v in node.items() if k != "_partial_"}
    own = [k for k in ENGINE_KEYS[group] if k in node and not takes(node["_target_"], k)]
    return {k: v for k, v in node.items() if k not in own}, {k: node[k] for k in own}
