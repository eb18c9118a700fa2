"""The parts of a config: its keys, its groups, and what the run adds when it builds them."""

from arclight.config.signatures.annotations import annotation

# The annotations of the top-level keys that are not groups.
ROOT = {
    key: annotation(text)
    for key, text in {
        "name": "str",
        "seed": "Seed",
        "compile": 'bool | Literal["whole", "blocks", "max-autotune", "cudagraphs"]',
        "deterministic": "bool",
        "preflight": 'bool | Literal["only"]',
        "on_nonfinite": 'Literal["stop", "skip"]',
        "runs": "str",
    }.items()
}

COMMANDS = {
    key: annotation(text)
    for key, text in {
        "run_dir": "str | int | None",
        "resume": "str | int | None",
        "check": 'Literal["only"] | None',
        "explain": "str | None",
        "extend": 'Literal["stretch", "restart", "constant"]',
    }.items()
}
COMMAND_KEYS = (*COMMANDS, "search")
"""Keys that set where and how to start a run, not what it computes."""

GROUPS = {
    "model": "Module",
    "task": "LightningModule",
    "data": "LightningDataModule",
    "optimizer": "Optimizer",
    "scheduler": "LRScheduler",
    "trainer": "Trainer",
    "finetune": "Module",
    "callbacks": "Callback",
    "logger": "Logger",
    "search": "Search",
}
"""The groups of the config, each with the type of the object that its node builds."""

NAMED = ("callbacks", "logger")
"""Groups of several nodes, each with its own name."""

# Written by a search: the number of the trial and its objectives. Written by an extension: see
# `arclight.config.extensions`.
WRITTEN = ("trial", "extensions")

GIVEN = {
    "model": frozenset[str](),  # keys that are null are filled from the data's facts
    "task": frozenset({"model", "facts", "optimizer", "schedule", "scheduler"}),
    "finetune": frozenset({"model"}),
    "optimizer": frozenset({"model", "fused", "params"}),
    "scheduler": frozenset({"optimizer", "total_steps", "steps_per_epoch"}),
    "trainer": frozenset({"run_dir", "callbacks", "loggers", "deterministic"}),
    "logger": frozenset({"run_dir", "run_id", "name", "say"}),
    "callbacks": frozenset({"folder", "run_id", "say"}),
}
"""Arguments that the run passes to the node of each group, so a config need not set them."""

SHARED = {"scheduler": frozenset({"optimizer"})}
"""Arguments that also go to nested nodes, such as the schedules of a `SequentialLR`."""

ENGINE_KEYS = {
    "optimizer": {"layer_decay": annotation("Positive"), "no_decay": annotation("bool")},
    "scheduler": {
        "interval": annotation('Literal["step", "epoch"]'),
        "frequency": annotation("Count"),
        "monitor": annotation("str | None"),
    },
    "model": {"pretrained": annotation("str | None")},
}
"""Keys of a group's node that the run uses itself if the target does not take them."""

FACTORIES = ("optimizer", "scheduler")
"""Groups with nodes that may be `_partial_`: the run passes the missing arguments later anyway."""

OWNED = {
    "run_dir": "type run_dir=PATH",
    "default_root_dir": "type run_dir=PATH",
    "loggers": "type logger=NAME; metrics.csv is always written",
    "logger": "type logger=NAME; metrics.csv is always written",
    "callbacks": "put them in configs/callbacks/, each with its own name",
    "deterministic": "type deterministic=true",
    "enable_checkpointing": "callbacks.checkpoints sets which checkpoints are kept",
    "enable_progress_bar": "one of Lightning's progress bars under callbacks replaces the default",
    "enable_model_summary": "add a ModelSummary to the callbacks",
    "use_distributed_sampler": "each process always gets its share of the data",
    "barebones": "leave out callbacks and loggers one by one",
    "model_registry": "scripts/export.py exports a model",
}
"""Arguments of Lightning's Trainer that the run sets itself, and what to type instead."""

HYDRA_KEYS = {
    "_target_": annotation("str"),
    "_partial_": annotation("bool"),
    "_args_": annotation("list"),
    "_recursive_": annotation("bool"),
    "_convert_": annotation('Literal["none", "partial", "all", "object"]'),
}
"""Hydra's special keys in a node."""
