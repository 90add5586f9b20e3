"""Compiled networks against eager ones."""

import pytest
import torch

from lightning_modules import SHED, DPTHybrid
from lightning_modules.metrics import EvalProtocol
from lightning_modules.training.block_compilation import compile_blocks

SIZE = 64
SMALL = {"backbone": "resnet18+vit_tiny_patch16_224", "width": 16, "pretrained": False}
SEGMENTS = {"segments": (8, 4), "blocks_per_stage": 3}
METHODS = {
    "dpt": (DPTHybrid, {}),
    "shed": (SHED, SEGMENTS),
    "shed_light": (SHED, SEGMENTS | {"level_fusion": "tokens"}),
}


def make(name, **options):
    torch.manual_seed(0)
    method, own = METHODS[name]
    return method(protocol=EvalProtocol("plain", min_depth=0.1, max_depth=10.0), **SMALL, **own, **options)


def make_batch(images=2):
    cell = torch.arange(SIZE) // 16
    superpixels = (cell[:, None] * (SIZE // 16) + cell).repeat(images, 1, 1)
    superpixels[0][superpixels[0] == 15] = 14  # an empty id
    image = torch.randn(images, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    return {"image": image, "superpixels": superpixels}


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.slow
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("name", METHODS)
def test_compiled_depth_is_the_eager_one(name, autocast):
    batch, module = make_batch(), make(name, compile=True).eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        eager = module(batch)
        module.configure_model()
        compiled = module(batch)
    tolerance = 2e-2 if autocast else 1e-4
    torch.testing.assert_close(compiled.depth, eager.depth, rtol=tolerance, atol=0)
    assert compiled.depth.dtype == torch.float32


@pytest.mark.parametrize("name", METHODS)
def test_blocks_are_compiled_once_a_shape_and_never_again(name):
    """An epoch of training and validation; a graph break raises. The assignment is one operator of its block."""
    torch._dynamo.utils.counters.clear()
    batch, method = make_batch(), make(name)
    blocks = compile_blocks(method.network, backend="eager")
    kinds = {type(block).__name__ for block in blocks}
    assert {"Block", "BasicBlock", "FusionBlock", "DepthHead"} <= kinds
    assert ("GraphPooling" in kinds) == name.startswith("shed")
    graphs = []
    for training in (True, False, True, False):
        with torch.set_grad_enabled(training), torch.autocast("cpu", dtype=torch.bfloat16):
            loss = method.train(training)(batch).depth.mean()
        if training:
            loss.backward()
        graphs.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    assert graphs[0] < len(blocks)  # shared
    assert graphs[3] == graphs[1]
    assert not torch._dynamo.utils.counters["graph_break"]


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_the_network_is_one_graph(name):
    """A graph break raises with ``fullgraph``; no code is generated."""
    batch, method = make_batch(), make(name).eval()
    expected = method(batch).depth
    method.network.compile(backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(method(batch).depth, expected)
    method.train()(batch).depth.mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in method.parameters() if parameter.grad is not None)
