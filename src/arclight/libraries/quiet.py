"""What libraries say of themselves, which no user can do anything about, is not said."""

import logging
import warnings

warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)` is deprecated")
logging.getLogger("torch.utils._pytree").setLevel(logging.ERROR)  # of torchao's use of it
for _name in ("lightning.pytorch", "lightning.fabric"):
    logging.getLogger(_name).setLevel(logging.WARNING)
