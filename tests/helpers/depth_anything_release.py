"""Depth Anything v2's release: names and shapes of its weights, and its forward pass written down from its text.

Nothing here is shared with the suite: names, shapes and arithmetic follow `metric_depth/depth_anything_v2` of the
repository DepthAnything/Depth-Anything-V2 and DINOv2's `vision_transformer.py`, in plain functions of a state dict.
"""

import torch
from torch.nn import functional as F

#: Width, blocks, heads, taps, features, channels of each size.
SIZES = {
    "vits": (384, 12, 6, (2, 5, 8, 11), 64, (48, 96, 192, 384)),
    "vitb": (768, 12, 12, (2, 5, 8, 11), 128, (96, 192, 384, 768)),
    "vitl": (1024, 24, 16, (4, 11, 17, 23), 256, (256, 512, 1024, 1024)),
}


def shapes(dim, blocks, features, channels, positions=37 * 37, patch=14):
    """Name to shape of every tensor of a released file."""

    def layer(name, *weight, bias=True):
        return {f"{name}.weight": weight} | ({f"{name}.bias": (weight[0],)} if bias else {})

    found = {
        "pretrained.cls_token": (1, 1, dim),
        "pretrained.pos_embed": (1, 1 + positions, dim),
        "pretrained.mask_token": (1, dim),
        **layer("pretrained.patch_embed.proj", dim, 3, patch, patch),
        **layer("pretrained.norm", dim),
    }
    for index in range(blocks):
        block = f"pretrained.blocks.{index}"
        found |= layer(f"{block}.norm1", dim) | layer(f"{block}.norm2", dim)
        found |= layer(f"{block}.attn.qkv", 3 * dim, dim) | layer(f"{block}.attn.proj", dim, dim)
        found |= layer(f"{block}.mlp.fc1", 4 * dim, dim) | layer(f"{block}.mlp.fc2", dim, 4 * dim)
        found |= {f"{block}.ls1.gamma": (dim,), f"{block}.ls2.gamma": (dim,)}
    head = "depth_head"
    for index, width in enumerate(channels):
        found |= layer(f"{head}.projects.{index}", width, dim, 1, 1)
        found |= layer(f"{head}.scratch.layer{index + 1}_rn", features, width, 3, 3, bias=False)
        refine = f"{head}.scratch.refinenet{index + 1}"
        found |= layer(f"{refine}.out_conv", features, features, 1, 1)
        for unit in (1, 2):
            for conv in (1, 2):
                found |= layer(f"{refine}.resConfUnit{unit}.conv{conv}", features, features, 3, 3)
    found |= layer(f"{head}.resize_layers.0", channels[0], channels[0], 4, 4)
    found |= layer(f"{head}.resize_layers.1", channels[1], channels[1], 2, 2)
    found |= layer(f"{head}.resize_layers.3", channels[3], channels[3], 3, 3)
    found |= layer(f"{head}.scratch.output_conv1", features // 2, features, 3, 3)
    found |= layer(f"{head}.scratch.output_conv2.0", 32, features // 2, 3, 3)
    found |= layer(f"{head}.scratch.output_conv2.2", 1, 32, 1, 1)
    return found


def random_weights(names, seed=0):
    """Tensors of the given shapes, small enough that nothing saturates, none of them special."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: 0.05 * torch.randn(shape, generator=generator) + (1.0 if "norm" in name and "weight" in name else 0.0)
        for name, shape in names.items()
    }


def predict(weights, image, heads, taps, max_depth=20.0, patch=14):
    """Depth (B, 1, H, W) as the release computes it."""
    rows, columns = image.shape[2] // patch, image.shape[3] // patch

    def linear(x, name):
        return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], eps=1e-6)

    def conv(x, name, **options):
        return F.conv2d(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"), **options)

    x = conv(image, "pretrained.patch_embed.proj", stride=patch).flatten(2).transpose(1, 2)
    x = torch.cat([weights["pretrained.cls_token"].expand(len(x), -1, -1), x], 1)
    x = x + positions(weights["pretrained.pos_embed"], rows, columns)
    layers, index = [], 0
    while f"pretrained.blocks.{index}.ls1.gamma" in weights:
        block = f"pretrained.blocks.{index}"
        q, k, v = linear(norm(x, f"{block}.norm1"), f"{block}.attn.qkv").chunk(3, -1)
        q, k, v = (t.unflatten(2, (heads, -1)).transpose(1, 2) for t in (q, k, v))
        attention = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1)
        attended = linear((attention @ v).transpose(1, 2).flatten(2), f"{block}.attn.proj")
        x = x + weights[f"{block}.ls1.gamma"] * attended
        hidden = F.gelu(linear(norm(x, f"{block}.norm2"), f"{block}.mlp.fc1"))
        x = x + weights[f"{block}.ls2.gamma"] * linear(hidden, f"{block}.mlp.fc2")
        if index in taps:
            layers.append(norm(x, "pretrained.norm")[:, 1:].transpose(1, 2).unflatten(2, (rows, columns)))
        index += 1

    head, scratch = "depth_head", "depth_head.scratch"
    maps = [conv(layer, f"{head}.projects.{i}") for i, layer in enumerate(layers)]
    for i, stride in ((0, 4), (1, 2)):
        name = f"{head}.resize_layers.{i}"
        maps[i] = F.conv_transpose2d(maps[i], weights[f"{name}.weight"], weights[f"{name}.bias"], stride=stride)
    maps[3] = conv(maps[3], f"{head}.resize_layers.3", stride=2, padding=1)
    maps = [conv(m, f"{scratch}.layer{i + 1}_rn", padding=1) for i, m in enumerate(maps)]

    def unit(x, name):
        return x + conv(F.relu(conv(F.relu(x), f"{name}.conv1", padding=1)), f"{name}.conv2", padding=1)

    path = None
    for i in (3, 2, 1, 0):
        name = f"{scratch}.refinenet{i + 1}"
        path = maps[i] if path is None else path + unit(maps[i], f"{name}.resConfUnit1")
        path = unit(path, f"{name}.resConfUnit2")
        size = maps[i - 1].shape[2:] if i else (2 * maps[0].shape[2], 2 * maps[0].shape[3])
        path = conv(F.interpolate(path, size, mode="bilinear", align_corners=True), f"{name}.out_conv")
    path = conv(path, f"{scratch}.output_conv1", padding=1)
    path = F.interpolate(path, (rows * patch, columns * patch), mode="bilinear", align_corners=True)
    path = F.relu(conv(path, f"{scratch}.output_conv2.0", padding=1))
    return torch.sigmoid(conv(path, f"{scratch}.output_conv2.2")) * max_depth


def positions(learned, rows, columns):
    """Positions for a grid: as learned where it is theirs, else resized with the release's offset of 0.1."""
    side = int((learned.shape[1] - 1) ** 0.5)
    if (rows, columns) == (side, side):
        return learned
    patches = learned[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    scale = ((rows + 0.1) / side, (columns + 0.1) / side)
    patches = F.interpolate(patches, scale_factor=scale, mode="bicubic")
    assert patches.shape[2:] == (rows, columns)
    return torch.cat([learned[:, :1], patches.permute(0, 2, 3, 1).flatten(1, 2)], 1)
