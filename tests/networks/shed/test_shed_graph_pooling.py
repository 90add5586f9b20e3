from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import erf

from lightning_modules.networks.shed.graph_pooling import GraphPooling
from lightning_modules.networks.shed.hierarchy import hard_segments, project_to_superpixels
from lightning_modules.networks.shed.options import SHEDOptions

GOLDEN = Path(__file__).parents[3] / "../shared/reference/golden/graph_pooling.npz"
GOLDEN_NAMES = {
    "node_norm.weight": "attn_ln_w",
    "node_norm.bias": "attn_ln_b",
    "node_attn.qkv.weight": "attn_qkv_w",
    "node_attn.qkv.bias": "attn_qkv_b",
    "node_attn.proj.weight": "attn_proj_w",
    "node_attn.proj.bias": "attn_proj_b",
    "node_bias": "attn_bias",
    "expand.0.weight": "mlp_n1_w",
    "expand.0.bias": "mlp_n1_b",
    "expand.1.weight": "mlp_l1_w",
    "expand.1.bias": "mlp_l1_b",
    "contract.0.weight": "mlp_n2_w",
    "contract.0.bias": "mlp_n2_b",
    "contract.1.weight": "mlp_l2_w",
    "contract.1.bias": "mlp_l2_b",
}
DIM, HEADS, K = 12, 3, 5


@pytest.mark.golden
@pytest.mark.skipif(not GOLDEN.exists(), reason=f"golden values absent: {GOLDEN}")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
def test_three_levels_equal_golden_values(dtype, tolerance):
    golden = {name: torch.from_numpy(values) for name, values in np.load(GOLDEN).items()}
    tokens, cls = golden["z"][None].to(dtype), golden["cls_in"][None].to(dtype)
    assignments = []
    for level in (1, 2, 3):
        num_segments = len(golden[f"seeds{level}"])
        pooling = GraphPooling(24, num_segments, SHEDOptions(), heads=int(golden["heads"])).to(dtype).eval()
        pooling.load_state_dict({name: golden[source].to(dtype) for name, source in GOLDEN_NAMES.items()})
        pooled = pooling(tokens, cls)
        tokens, cls = pooled.tokens, pooled.cls
        assignments.append(pooled.assignment)
        assert torch.equal(pooled.seeds[0], golden[f"seeds{level}"])
        for value, name in ((pooled.assignment, "P"), (tokens, "Z"), (cls, "cls")):
            torch.testing.assert_close(value[0].double(), golden[f"{name}{level}"], rtol=0, atol=tolerance)
    chain = project_to_superpixels(torch.eye(4, dtype=dtype)[None], assignments)
    torch.testing.assert_close(chain[0].double(), golden["chain"], rtol=0, atol=tolerance)
    segments = hard_segments(torch.arange(40).view(1, 5, 8), assignments)
    assert torch.equal(torch.stack(segments[1:]).view(3, 40), golden["hard"])


def make_pooling(seed=0, **options):
    torch.manual_seed(seed)
    num_segments = options.pop("num_segments", K)
    pooling = GraphPooling(DIM, num_segments, SHEDOptions(**options), heads=HEADS).double().eval()
    for parameter in pooling.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return pooling


def make_tokens(batch=2, n=14, seed=0):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(batch, n, DIM, dtype=torch.float64, generator=generator)
    return tokens, torch.randn(batch, 1, DIM, dtype=torch.float64, generator=generator)


def plain_loop_pooling(pooling, tokens, cls, seeds, attended, mlp, similarity="nodes"):
    """Steps 2 to 6 for one image, one token at a time, with the tokens in ``attended`` taking part."""
    weight = {name: value.detach().numpy() for name, value in pooling.state_dict().items()}

    def layer_norm(x, name, eps):
        return (x - x.mean()) / np.sqrt(x.var() + eps) * weight[f"{name}.weight"] + weight[f"{name}.bias"]

    def linear(x, name):
        return weight[f"{name}.weight"] @ x + weight[f"{name}.bias"]

    def expand(x):
        x = linear(layer_norm(x, "expand.0", 1e-5), "expand.1")
        return 0.5 * x * (1 + erf(x / np.sqrt(2)))

    def contract(x):
        return linear(layer_norm(x, "contract.0", 1e-5), "contract.1")

    nodes = list(tokens) if similarity == "tokens" else cast_nodes(tokens, attended, weight, layer_norm, linear)
    assignment = np.zeros((len(tokens), len(seeds)))
    for i, g in enumerate(nodes):
        # a pad that is zero has no direction: its cosines are 0
        cosine = [g @ nodes[s] / max(np.linalg.norm(g) * np.linalg.norm(nodes[s]), 1e-12) for s in seeds]
        assignment[i] = np.exp(5 * np.array(cosine)) / np.exp(5 * np.array(cosine)).sum()
    coarse = []
    for j, s in enumerate(seeds):
        mass = sum(assignment[i, j] for i in attended)
        if mlp == "cast":
            update = contract(sum(assignment[i, j] * expand(tokens[i]) for i in attended) / mass)
        else:
            update = contract(expand(sum(assignment[i, j] * tokens[i] for i in attended) / mass))
        coarse.append(tokens[s] + update)
    return assignment, np.stack(coarse), cls + contract(expand(cls[0]))


def cast_nodes(tokens, attended, weight, layer_norm, linear):
    """Tokens after one attention more, centred, plus a learned bias."""
    qkv = [linear(layer_norm(z, "node_norm", 1e-6), "node_attn.qkv").reshape(3, HEADS, -1) for z in tokens]
    nodes = []
    for i, z in enumerate(tokens):
        context = []
        for head in range(HEADS):
            logits = [qkv[i][0, head] @ qkv[j][1, head] / np.sqrt(DIM / HEADS) for j in attended]
            attention = np.exp(logits) / np.exp(logits).sum()
            context.append(sum(a * qkv[j][2, head] for a, j in zip(attention, attended, strict=True)))
        nodes.append(z + linear(np.concatenate(context), "node_attn.proj"))
    mean = np.mean([nodes[i] for i in attended], 0)
    return [g - mean + weight["node_bias"] for g in nodes]


@pytest.mark.parametrize("similarity", ["nodes", "tokens"])
@pytest.mark.parametrize("mlp", ["cast", "paper"])
@pytest.mark.parametrize("pad_tokens", ["masked", "cast"])
def test_equals_plain_loops_with_pads(pad_tokens, mlp, similarity):
    pooling = make_pooling(pool_mlp=mlp, pad_tokens=pad_tokens, similarity=similarity)
    tokens, cls = make_tokens()
    pad = torch.zeros(2, 14, dtype=torch.bool)
    pad[0, [1, 6, 13]] = True
    tokens[pad] = 0
    pooled = pooling(tokens, cls, pad)
    assert not pad.gather(1, pooled.seeds).any()
    for b in range(2):
        attended = [i for i in range(14) if pad_tokens == "cast" or not pad[b, i]]
        expected = plain_loop_pooling(
            pooling, tokens[b].numpy(), cls[b].numpy(), pooled.seeds[b].tolist(), attended, mlp, similarity
        )
        for value, reference in zip((pooled.assignment, pooled.tokens, pooled.cls), expected, strict=True):
            torch.testing.assert_close(value[b].detach(), torch.from_numpy(reference), rtol=0, atol=1e-10)


def test_every_row_of_the_assignment_sums_to_one_pads_included():
    tokens, cls = make_tokens()
    pad = torch.zeros(2, 14, dtype=torch.bool)
    pad[:, 3:7] = True
    assignment = make_pooling()(tokens, cls, pad).assignment
    assert assignment.shape == (2, 14, K)
    assert (assignment > 0).all()
    torch.testing.assert_close(assignment.sum(2), torch.ones(2, 14, dtype=torch.float64), rtol=0, atol=1e-12)


def test_masked_results_do_not_depend_on_pads():
    pooling = make_pooling()
    tokens, cls = make_tokens()
    alone = pooling(tokens, cls)
    padded = torch.cat([tokens[:, :4], torch.randn(2, 9, DIM, dtype=torch.float64), tokens[:, 4:]], 1)
    pad = torch.zeros(2, 23, dtype=torch.bool)
    pad[:, 4:13] = True
    pooled = pooling(padded, cls, pad)
    torch.testing.assert_close(pooled.tokens, alone.tokens, rtol=0, atol=1e-12)
    torch.testing.assert_close(pooled.assignment[:, ~pad[0]], alone.assignment, rtol=0, atol=1e-12)


def test_gradients():
    pooling = make_pooling(num_segments=3)
    tokens, cls = make_tokens(n=6)
    pad = torch.zeros(2, 6, dtype=torch.bool)
    pad[1, 2] = True

    def pool(tokens, cls):
        pooled = pooling(tokens, cls, pad)
        return pooled.tokens, pooled.cls, pooled.assignment

    assert torch.autograd.gradcheck(pool, (tokens.requires_grad_(), cls.requires_grad_()), fast_mode=True)


def test_identical_tokens_and_a_single_token_stay_finite():
    pooling = make_pooling()
    tokens, cls = make_tokens()
    one = torch.ones(2, 14, dtype=torch.bool)
    one[:, 9] = False
    for case, pad in ((tokens[:, :1].expand(-1, 14, -1), None), (tokens, one)):
        case = case.clone().requires_grad_()
        pooled = pooling(case, cls, pad)
        (pooled.tokens.square().sum() + pooled.assignment.square().sum()).backward()
        assert pooled.tokens.isfinite().all()
        assert case.grad is not None
        assert case.grad.isfinite().all()
        torch.testing.assert_close(pooled.tokens, pooled.tokens[:, :1].expand(-1, K, -1), rtol=0, atol=1e-12)


def test_assignment_is_float32_under_bfloat16_autocast():
    pooling = make_pooling().float()
    tokens, cls = (x.float() for x in make_tokens())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pooled = pooling(tokens, cls)
    assert pooled.assignment.dtype == torch.float32
    torch.testing.assert_close(pooled.assignment.sum(2), torch.ones(2, 14), rtol=0, atol=1e-6)
    assert pooled.tokens.isfinite().all()


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="`heads` is 5, which does not divide the token width 12"):
        GraphPooling(DIM, K, SHEDOptions(), heads=5)
