"""CAST's release: names and shapes of its weights, and its forward pass written down from its text.

Nothing here is shared with the suite: names, shapes and arithmetic follow `cast_models` of the repository twke18/CAST,
in plain functions of a state dict, without its dependence on dgl.
"""

import itertools

import torch
from torch.nn import functional as F


def shapes(dim=384, depths=(3, 3, 3, 2), grid=28 * 28, head=1000):
    """Name to shape of every tensor of a released file."""

    def layer(name, *weight, bias=True):
        return {f"{name}.weight": weight} | ({f"{name}.bias": (weight[0],)} if bias else {})

    found = {"cls_token": (1, 1, dim), "pos_embed": (1, grid, dim), "pe_token": (1, 1, dim)}
    widths = (3, dim // 8, dim // 4, dim // 2, dim)
    for number, (before, after) in enumerate(itertools.pairwise(widths)):
        found |= layer(f"patch_embed.proj.{3 * number}", after, before, 3, 3, bias=False)
        norm = f"patch_embed.proj.{3 * number + 1}"
        found |= layer(norm, after) | {f"{norm}.running_mean": (after,), f"{norm}.running_var": (after,)}
        found |= {f"{norm}.num_batches_tracked": ()}
    found |= layer("patch_embed.proj.12", dim, dim, 1, 1) | layer("norm", dim) | layer("head", head, dim)
    stages = [stage for stage, depth in enumerate(depths) for _ in range(depth)]
    for index, stage in enumerate(stages):
        for block in (f"blocks.{index}", f"blocks{stage + 1}.{index}"):  # the same tensors under two names
            found |= layer(f"{block}.norm1", dim) | layer(f"{block}.norm2", dim)
            found |= layer(f"{block}.attn.qkv", 3 * dim, dim) | layer(f"{block}.attn.proj", dim, dim)
            found |= layer(f"{block}.mlp.fc1", 4 * dim, dim) | layer(f"{block}.mlp.fc2", dim, 4 * dim)
    for level in range(len(depths)):
        pool = f"pool{level + 1}.pool_block"
        found |= layer(f"{pool}.centroid_fc.norm", dim) | {f"{pool}.centroid_fc.bias": (dim,)}
        found |= layer(f"{pool}.centroid_fc.attn.qkv", 3 * dim, dim) | layer(f"{pool}.centroid_fc.attn.proj", dim, dim)
        found |= layer(f"{pool}.fc1.0", dim) | layer(f"{pool}.fc1.1", 4 * dim, dim)
        found |= layer(f"{pool}.fc2.0", 4 * dim) | layer(f"{pool}.fc2.1", dim, 4 * dim)
    return found


def random_weights(names, seed=0):
    """Tensors of the given shapes, in float64; a block's two names stand for the same tensor."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in names.items():
        value = 0.1 * torch.randn(shape, generator=generator, dtype=torch.float64)
        if "running_var" in name or ("norm" in name and name.endswith("weight")):
            value = 1 + value.abs()
        weights[name] = value if shape else torch.tensor(7)
    weights["pe_token"].zero_()  # the class token's position, which is never learned
    for name in names:
        if name[:6] == "blocks" and name[6] != ".":
            weights[name] = weights["blocks." + name.split(".", 1)[1]]
    return weights


def predict(weights, image, superpixels, heads, depths, clusters):
    """Class token (B, d) after the final norm, and each level's grouping logits (B, n, k)."""

    def linear(x, name):
        return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(x, name, eps):
        return F.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], eps=eps)

    def attention(x, name):
        q, k, v = (t.unflatten(2, (heads, -1)).transpose(1, 2) for t in linear(x, f"{name}.qkv").chunk(3, -1))
        mixed = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(-1) @ v
        return linear(mixed.transpose(1, 2).flatten(2), f"{name}.proj")

    x = image
    for number in range(4):
        conv, batch = f"patch_embed.proj.{3 * number}", f"patch_embed.proj.{3 * number + 1}"
        x = F.conv2d(x, weights[f"{conv}.weight"], stride=2 if number < 3 else 1, padding=1)
        statistics = (weights[f"{batch}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        x = F.relu(F.batch_norm(x, *statistics))
    x = F.conv2d(x, weights["patch_embed.proj.12.weight"], weights["patch_embed.proj.12.bias"])
    ids = F.interpolate(superpixels[:, None].double(), x.shape[2:], mode="nearest")[:, 0].long().flatten(1)
    count = int(superpixels.max()) + 1
    member = F.one_hot(ids, count).to(x.dtype)
    size = member.sum(1)
    x = (x + positions(x.shape[2], x.shape[3], x.shape[1])).flatten(2).transpose(1, 2)
    x = (member.transpose(1, 2) @ x) / size.clamp(min=1)[..., None]
    pad = size <= 0.5
    cls = (weights["cls_token"] + weights["pe_token"]).expand(len(x), -1, -1)

    logits, index = [], 0
    for level, depth in enumerate(depths):
        tokens = torch.cat([cls, x], 1)
        for _ in range(depth):
            block = f"blocks.{index}"
            tokens = tokens + attention(norm(tokens, f"{block}.norm1", 1e-6), f"{block}.attn")
            hidden = F.gelu(linear(norm(tokens, f"{block}.norm2", 1e-6), f"{block}.mlp.fc1"))
            tokens = tokens + linear(hidden, f"{block}.mlp.fc2")
            index += 1
        cls, x = tokens[:, :1], tokens[:, 1:]
        if level == len(depths) - 1:
            return norm(tokens, "norm", 1e-6)[:, 0], logits
        pool = f"pool{level + 1}.pool_block"
        nodes = x + attention(norm(x, f"{pool}.centroid_fc.norm", 1e-6), f"{pool}.centroid_fc.attn")
        nodes = nodes - nodes.mean(1, keepdim=True) + weights[f"{pool}.centroid_fc.bias"]
        seeds = torch.stack([farthest(t, p, clusters[level]) for t, p in zip(x, pad, strict=True)])
        chosen = seeds[..., None].expand(-1, -1, x.shape[2])
        logit = 5 * F.normalize(nodes, dim=-1) @ F.normalize(nodes.gather(1, chosen), dim=-1).transpose(1, 2)
        share = logit.softmax(-1)

        def first(t, pool=pool):
            return F.gelu(linear(norm(t, f"{pool}.fc1.0", 1e-5), f"{pool}.fc1.1"))

        def second(t, pool=pool):
            return linear(norm(t, f"{pool}.fc2.0", 1e-5), f"{pool}.fc2.1")

        mean = (share.transpose(1, 2) @ first(x)) / share.sum(1)[..., None]
        x, cls = second(mean) + x.gather(1, chosen), second(first(cls)) + cls
        pad = torch.zeros(x.shape[:2], dtype=torch.bool)
        logits.append(logit)
    raise AssertionError("unreachable: the last stage returns")


def farthest(tokens, pad, count):
    """Farthest point sampling that starts from the mean of what is no padding; padding lies there, too."""
    mean = tokens[~pad].mean(0)
    points = torch.cat([mean[None], torch.where(pad[:, None], mean, tokens)])
    distance, picked = torch.full((len(points),), torch.inf, dtype=points.dtype), [0]
    for _ in range(count):
        distance = torch.minimum(distance, (points - points[picked[-1]]).square().sum(1))
        picked.append(int(distance.argmax()))
    return torch.tensor(picked[1:]) - 1


def positions(height, width, dim):
    """(dim, height, width): the release's table, whose first half follows the rows."""
    omega = 10000 ** -(torch.arange(dim // 4, dtype=torch.float64) / (dim // 4))
    rows, columns = torch.meshgrid(torch.arange(height).double(), torch.arange(width).double(), indexing="ij")
    angles = [axis.flatten()[:, None] * omega for axis in (rows, columns)]
    table = torch.cat([f(angle) for angle in angles for f in (torch.sin, torch.cos)], 1)
    return table.T.unflatten(1, (height, width))
