"""Silences warnings of libraries that users cannot act on."""

import logging
import warnings

warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)` is deprecated")
# Metrics are logged with each validation anyway.
warnings.filterwarnings("ignore", message=r"The number of training batches .* logging interval")
# Checkpoints do not contain hyperparameters, since the run directory has the config.
warnings.filterwarnings("ignore", message=r"Attribute '.*' is an instance of `nn.Module`")
logging.getLogger("torch.utils._pytree").setLevel(logging.ERROR)  # warnings about torchao
for _name in ("lightning.pytorch", "lightning.fabric"):
    logging.getLogger(_name).setLevel(logging.WARNING)
