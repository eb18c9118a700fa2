"""The average of the weights is on the model's device and equals torch's average."""

from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from arclight.training.callbacks import ema

TRAINER: Any = None


class Net(L.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))


def averaging(net: Net) -> Any:
    callback = ema(0.9)
    assert callback is not None
    callback.setup(TRAINER, net, "fit")
    return callback


def test_the_average_is_on_the_models_device_without_synchronisation() -> None:
    """Tensors on "meta" have no values, so reading one fails."""
    net = Net()
    callback = averaging(net)
    net.to("meta")
    callback.on_fit_start(TRAINER, net)
    average = callback._average_model
    assert all(t.is_meta for t in average.module.state_dict().values())
    for _ in range(3):
        average.update_parameters(net)
    assert average.n_averaged.device.type == "cpu"
    assert int(average.n_averaged) == 3


def test_the_average_equals_torchs_and_has_lightnings_key() -> None:
    torch.manual_seed(0)
    net = Net()
    callback = averaging(net)
    callback.on_fit_start(TRAINER, net)
    update = get_ema_multi_avg_fn(0.9)  # type: ignore[no-untyped-call]
    theirs = AveragedModel(net, multi_avg_fn=update, use_buffers=True)
    for _ in range(3):
        for tensor in net.state_dict().values():
            tensor.copy_(torch.randn(tensor.shape) * 9)
        callback._average_model.update_parameters(net)
        theirs.update_parameters(net)
    ours = callback._average_model.state_dict()
    assert ours.keys() == theirs.state_dict().keys()
    assert all(torch.equal(ours[k], v) for k, v in theirs.state_dict().items())
    assert callback.state_key == WeightAveraging().state_key
