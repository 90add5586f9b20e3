from types import SimpleNamespace

import pytest
import timm
import torch
from torch import nn

from experiments.train.sync_batch_norm import TimmSyncBatchNorm


def on(device: str, network: nn.Module) -> nn.Module:
    """A module as Lightning hands it over, about to be trained on a device."""
    module = nn.Module()
    module.network = network
    module.trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device(device)))
    return module


@pytest.mark.parametrize("name", ["efficientnet_b0", "resnet18"])
def test_on_a_gpu_all_batch_norm_is_synchronised_and_nothing_else_changes(name):
    network = timm.create_model(name, num_classes=0).eval()
    layers = sum(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in network.modules())
    image = torch.rand(1, 3, 64, 64)
    before, keys = network(image), list(network.state_dict())
    sync = TimmSyncBatchNorm()
    module = sync.revert(sync.apply(on("cuda", network)))
    assert sum(isinstance(layer, nn.SyncBatchNorm) for layer in module.modules()) == layers
    assert list(module.network.state_dict()) == keys
    torch.testing.assert_close(module.network(image), before)  # the activations inside timm's layers too


def test_on_a_cpu_nothing_is_done():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    module = TimmSyncBatchNorm().apply(on("cpu", network))
    assert type(module.network[1]) is nn.BatchNorm2d
