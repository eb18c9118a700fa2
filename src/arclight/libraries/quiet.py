"""Silences warnings of libraries that users cannot act on."""

import logging
import warnings

warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)` is deprecated")
# A row is logged with each validation all the same.
warnings.filterwarnings("ignore", message=r"The number of training batches .* logging interval")
# Checkpoints of runs leave hyperparameters out, since the directory has the config.
warnings.filterwarnings("ignore", message=r"Attribute '.*' is an instance of `nn.Module`")
logging.getLogger("torch.utils._pytree").setLevel(logging.ERROR)  # of torchao's use of it
for _name in ("lightning.pytorch", "lightning.fabric"):
    logging.getLogger(_name).setLevel(logging.WARNING)
