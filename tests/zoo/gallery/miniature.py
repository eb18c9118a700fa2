"""Overrides that make the gallery's experiments so small that they train in a second."""

FEW = (
    *("data.limit=48", "data.batch_size=8"),
    *("trainer.max_epochs=2", "trainer.check_val_every_n_epoch=1"),
)
SAMPLES = ("task.samples=10", "callbacks.ema.decay=0.9")
MINIATURE: dict[str, tuple[str, ...]] = {
    "segmentation": ("model.widths=[4,8]", "data.augment.flip=true"),
    "multilabel": ("model.widths=[4,8]",),
    "tabular": ("model.width=16",),
    "tabular_regression": ("model.width=16", "task.baseline=boosting"),
    "gan": (*SAMPLES, "model.width=4"),
    "diffusion": (*SAMPLES, "model.widths=[8,16]", "task.sampling_steps=3", "model.dropout=0.1"),
    "self_supervised": ("model.widths=[4,8]",),
    "distillation": ("model.hidden=4",),
}


def words(name: str, *more: str) -> tuple[str, ...]:
    """The overrides for `train.py`; later ones win."""
    return (f"experiment={name}", *FEW, *MINIATURE[name], *more)
