"""`torch.compile` of a network's blocks, one by one: blocks of one kind and shape share their code.

A whole network takes minutes to compile, as one graph of thousands of operators. Its blocks are few kinds, repeated:
each kind is compiled once a shape, in seconds.
"""

from timm.models.resnet import BasicBlock, Bottleneck
from torch import nn

from lightning_modules.backbones.timm_internals import Block, InvertedResidual
from lightning_modules.losses.torch_internals import raise_recompile_limit
from lightning_modules.networks.depth_head import DepthHead
from lightning_modules.networks.dpt.fusion import FusionBlock, ResidualConvUnit
from lightning_modules.networks.shed.graph_pooling import GraphPooling
from lightning_modules.networks.shed.unpooling import Unpooling

#: What is compiled, wherever a network has it.
BLOCKS = (
    Block, Bottleneck, BasicBlock, InvertedResidual, FusionBlock, ResidualConvUnit, GraphPooling, Unpooling, DepthHead,
)  # fmt: skip

#: Shapes and modes that one kind of block may have; beyond that it runs as it is.
VARIANTS = 64


def blocks_of(network: nn.Module) -> list[nn.Module]:
    """Return the outermost blocks of a network, in order; the network itself if it has none."""
    found: list[nn.Module] = []

    def search(module: nn.Module) -> None:
        if isinstance(module, BLOCKS):
            found.append(module)
            return
        for child in module.children():
            search(child)

    search(network)
    return found or [network]


def compile_blocks(network: nn.Module, backend: str = "inductor") -> list[nn.Module]:
    """Compile a network's blocks in place, for fixed shapes and without graph breaks; return them.

    The seeded assignment of SHED stays one operator inside its block. Where a network has no block that is known to
    compile so, it is compiled whole, and may break.
    """
    blocks = blocks_of(network)
    if blocks == [network]:
        network.compile(backend=backend)
        return blocks
    raise_recompile_limit(VARIANTS)
    for block in blocks:
        block.compile(backend=backend, dynamic=False, fullgraph=True)
    return blocks
