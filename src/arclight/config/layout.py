"""What a config consists of: its keys, its groups, and what the run adds when it builds them."""

from arclight.config.annotations import annotation

# The types of the keys that stand alone, in the language of annotations.
ROOT = {
    key: annotation(words)
    for key, words in {
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
    key: annotation(words)
    for key, words in {
        "run_dir": "str | int | None",
        "resume": "str | int | None",
        "check": 'Literal["only"] | None',
        "explain": "str | None",
    }.items()
}
COMMAND_KEYS = (*COMMANDS, "search")
"""What says where and how to start a run, not what the run is."""

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
"""The groups of the config, each with the type of what its node builds."""

NAMED = ("callbacks", "logger")
"""Groups of several nodes, each under a name of its own."""

# A search's trial: which it is, and what it is judged by. The search writes it.
WRITTEN = ("trial",)

GIVEN = {
    "model": frozenset[str](),  # any key that is null is filled from the data's facts
    "task": frozenset({"model", "facts", "optimizer", "schedule", "scheduler"}),
    "finetune": frozenset({"model"}),
    "optimizer": frozenset({"model", "fused", "params"}),
    "scheduler": frozenset({"optimizer", "total_steps", "steps_per_epoch"}),
    "trainer": frozenset({"run_dir", "callbacks", "loggers", "deterministic"}),
    "logger": frozenset({"run_dir", "run_id", "name", "say"}),
    "callbacks": frozenset({"folder", "run_id", "say"}),
}
"""What the run gives the node of each group when it builds it; a config need not."""

SHARED = {"scheduler": frozenset({"optimizer"})}
"""What the nodes within a group's node are given as well: the schedules of a `SequentialLR`."""

ENGINE_KEYS = {
    "optimizer": {"layer_decay": annotation("Positive"), "no_decay": annotation("bool")},
    "scheduler": {
        "interval": annotation('Literal["step", "epoch"]'),
        "frequency": annotation("Count"),
        "monitor": annotation("str | None"),
    },
    "model": {"pretrained": annotation("str | None")},
}
"""Keys of a group's node that the run uses itself, where the target does not take them."""

FACTORIES = ("optimizer", "scheduler")
"""Groups whose node may be `_partial_`: what they need is given to them later in any case."""

OWNED = {
    "run_dir": "type run_dir=PATH",
    "default_root_dir": "type run_dir=PATH",
    "loggers": "type logger=NAME; metrics.csv is written in any case",
    "logger": "type logger=NAME; metrics.csv is written in any case",
    "callbacks": "put them in configs/callbacks/, each under a name of its own",
    "deterministic": "type deterministic=true",
    "enable_checkpointing": "callbacks.checkpoints says what is kept",
    "enable_progress_bar": "a bar of Lightning's among the callbacks takes the place of its own",
    "enable_model_summary": "a ModelSummary among the callbacks prints one",
    "use_distributed_sampler": "each process gets its share of the data in any case",
    "barebones": "leave out callbacks and loggers one by one",
    "model_registry": "scripts/export.py hands a model on",
}
"""Keys of Lightning's Trainer that the run directory has itself, and what to do instead."""

HYDRA_KEYS = {
    "_target_": annotation("str"),
    "_partial_": annotation("bool"),
    "_args_": annotation("list"),
    "_recursive_": annotation("bool"),
    "_convert_": annotation('Literal["none", "partial", "all", "object"]'),
}
"""Hydra's own words in a node."""
