"""The facts of plain data modules, collected once Lightning has set them up."""

from collections.abc import Mapping
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from arclight.data.exact import ExactLoaders
from arclight.data.exact.identity import VERSION
from arclight.data.facts import PlainFacts
from arclight.errors import UserError
from arclight.run_directory import RunDirectory


class PlainData(Callback):
    """Writes sizes and fingerprint to the manifest, and raises an error if the data have changed.

    They are known when training starts; those of the test when it ends.

    Args:
        run: the run with the manifest.
        loaders: of the data module.
    """

    def __init__(self, run: RunDirectory, loaders: ExactLoaders) -> None:
        self.run, self.loaders = run, loaders

    def on_train_started(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # If loaders are created again during training, these may not be the first ones.
        anew = bool(trainer.reload_dataloaders_every_n_epochs)  # type: ignore[attr-defined]
        self._note(trainer, compare=not anew)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._note(trainer, compare=False)

    def _note(self, trainer: L.Trainer, compare: bool) -> None:
        facts, before = self._facts(), self.run.manifest.get("data") or {}
        if compare:
            require_same(self.run, facts, before)
        if trainer.is_global_zero:
            plain = facts.to_dict()
            plain["sizes"] = {**before.get("sizes", {}), **facts.sizes}
            plain["fingerprint"] = before.get("fingerprint") or facts.fingerprint
            if plain != before:
                self.run.update_manifest(data=plain)

    def _facts(self) -> PlainFacts:
        sizes, prints = dict[str, int](), list[str]()
        stages = {name.partition("/")[0] for name in self.loaders.identities}
        for stage in ("train", "val", "test"):
            found = [v for k, v in sorted(self.loaders.identities.items()) if k.startswith(stage)]
            known = [one.size for one in found if one.size is not None]
            if stage in stages and len(known) == len(found):
                sizes[stage] = sum(known)
            prints += [one.fingerprint for one in found if stage == "train"]
        return PlainFacts(sizes=sizes, fingerprint="+".join(prints) if all(prints) else "")


def require_same(run: RunDirectory, facts: PlainFacts, before: Mapping[str, Any]) -> None:
    """Raises `UserError` if the facts of the data differ from the recorded ones."""
    changes = [
        f"{stage} had {size:,} samples and has {facts.sizes[stage]:,}"
        for stage, size in before.get("sizes", {}).items()
        if facts.sizes.get(stage, size) != size
    ]
    old, new = before.get("fingerprint", ""), facts.fingerprint
    if not changes and old.startswith(VERSION) and new and old != new:
        changes = [f"the training set had the fingerprint {old[:18]} and has {new[:18]}"]
    if changes:
        raise UserError(
            f"The data of {run.path}, or the code that reads them, have changed since its start "
            f"({'; '.join(changes)}): restore them to continue the run, or start a new one."
        )
