"""Undocumented parts of libraries: used in one file a library, and each still what the suite takes it for."""

import ast
from functools import partial
from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from torch import distributed as dist
from torch import nn

from lightning_modules.backbones import smp_internals, timm_internals
from lightning_modules.losses import torch_internals

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "lightning_modules").rglob("*.py"))
HOUSE = ("lightning_modules", "datamodules", "callbacks", "experiments", "segdepth")

#: Modules that no documentation names, whose own name does not begin with an underscore.
UNDOCUMENTED = ("torch.distributed.nn", "segmentation_models_pytorch.decoders", "timm.models.vision_transformer")

#: Documented in spite of the underscore, which keeps them apart from fields.
NAMED_TUPLE = ("_asdict", "_fields", "_make", "_replace")

#: Overridden, with no public hook in its place: what torch calls when a module moves to another device or type.
OVERRIDDEN = ("super()._apply",)


def changed(library) -> str:
    version = getattr(library, "__version__", None)
    return f"{library.__name__} {version} has changed what `{library.__name__}` internals of the suite rely on"


def private_uses(source: str) -> list[str]:
    """Private names of other libraries that a module reads or imports."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            name = ast.unparse(node)
            own = name.rpartition(".")[0] in ("self", "cls") or name in OVERRIDDEN
            found += [] if own else [f"line {node.lineno}: {name}"]
        elif isinstance(node, ast.Import | ast.ImportFrom):
            module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            names = [f"{module}{alias.name}" for alias in node.names]
            found += [f"line {node.lineno}: {name}" for name in names if is_internal(name)]
    return found


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in NAMED_TUPLE


def is_internal(name: str) -> bool:
    if name.split(".")[0] in HOUSE:
        return False
    return any(map(is_private, name.split("."))) or name.startswith(tuple(f"{module}." for module in UNDOCUMENTED))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_private_parts_of_libraries_are_used_in_one_place(path):
    if not path.stem.endswith("_internals"):
        assert private_uses(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    ["import torch._dynamo", "from timm.models._builder import build", "from torch.nn import _reduction", "x = m._pos",
     "from torch.distributed.nn.functional import all_reduce", "tensor.parent._grad"],
)  # fmt: skip
def test_a_private_use_is_found(source):
    assert len(private_uses(source)) == 1


def test_what_is_no_private_use_of_a_library():
    assert private_uses("self._x = cls._y\nfrom lightning_modules.a import _b\nobject.__init__\nimport torch.nn") == []


def names_of(module: nn.Module) -> set[str]:
    """Layers with parameters."""
    return {name.rpartition(".")[0] for name, _ in module.named_parameters()}


def test_transformer_blocks_of_timm():
    torch.manual_seed(0)
    block = timm_internals.Block(8, 2, qkv_bias=True).eval()
    assert names_of(block) == {"norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2"}, changed(timm)
    tokens, open_to_all = torch.randn(1, 5, 8), torch.ones(1, 1, 1, 5, dtype=torch.bool)
    torch.testing.assert_close(block(tokens, attn_mask=open_to_all), block(tokens), msg=changed(timm))
    masked = open_to_all.clone()
    masked[..., 4] = False
    other = torch.cat([tokens[:, :4], torch.randn(1, 1, 8)], 1)
    torch.testing.assert_close(
        block(tokens, attn_mask=masked)[:, :4], block(other, attn_mask=masked)[:, :4], msg=changed(timm)
    )


def test_inverted_residual_of_timm():
    squeeze = partial(timm_internals.SqueezeExcite, rd_channels=2)
    block = timm_internals.InvertedResidual(
        8, 8, exp_ratio=6.0, act_layer=nn.SiLU, se_layer=squeeze, drop_path_rate=0.2
    )
    layers = {"conv_pw", "bn1", "conv_dw", "bn2", "se.conv_reduce", "se.conv_expand", "conv_pwl", "bn3"}
    assert names_of(block) == layers, changed(timm)
    assert block.conv_pw.out_channels == 48, changed(timm)
    assert block.se.conv_reduce.out_channels == 2, changed(timm)
    assert block(torch.zeros(2, 8, 4, 6)).shape == (2, 8, 4, 6), changed(timm)


def test_positions_of_timm():
    torch.manual_seed(0)
    transformer = timm.create_model("test_vit", pretrained=False, num_classes=0, dynamic_img_size=True)
    tokens = transformer.patch_embed(torch.randn(2, 3, *transformer.patch_embed.img_size))
    expected = torch.cat([transformer.cls_token.expand(2, -1, -1), tokens.flatten(1, 2)], 1) + transformer.pos_embed
    torch.testing.assert_close(timm_internals.add_positions(transformer, tokens), expected, msg=changed(timm))
    finer = timm_internals.add_positions(transformer, tokens.repeat(1, 2, 1, 1))
    assert finer.shape[1] == 1 + 2 * tokens.shape[1] * tokens.shape[2], changed(timm)


def test_reassembling_of_smp():
    read = smp_internals.ReadoutConcatBlock(8, has_prefix_tokens=True)
    reassemble = smp_internals.ReassembleBlock(in_channels=8, mid_channels=8, out_channels=16, upsample_factor=0.5)
    assert names_of(read) == {"project.0"}, changed(smp)
    layers = {"project_to_out_channel", "upsample", "project_to_feature_dim"}
    assert names_of(reassemble) == layers, changed(smp)
    maps = reassemble(read(torch.zeros(2, 8, 4, 6), torch.zeros(2, 1, 8)))
    assert maps.shape == (2, 16, 2, 3), changed(smp)


def test_architectures_of_smp():
    assert {"unet", "deeplabv3", "dpt"} <= set(smp_internals.ARCHITECTURES), changed(smp)
    network = smp.create_model(smp_internals.ARCHITECTURES[0], "resnet18", None)
    assert {"encoder", "decoder", "segmentation_head"} <= {name for name, _ in network.named_children()}, changed(smp)


@pytest.mark.skipif(not dist.is_available(), reason="torch without distributed")
def test_sums_over_processes_have_a_gradient_in_torch():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        values = torch.arange(3.0, requires_grad=True)
        total = torch_internals.differentiable_all_reduce(values)
        assert total.tolist() == [0, 1, 2], changed(torch)
        total.square().sum().backward()
        assert values.grad.tolist() == [0, 2, 4], changed(torch)
    finally:
        dist.destroy_process_group()
