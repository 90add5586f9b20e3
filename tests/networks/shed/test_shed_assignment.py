import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.util import find_spec

import pytest
import torch

from lightning_modules.networks.shed import assignment
from lightning_modules.networks.shed.assignment import seeded_assignment
from lightning_modules.networks.shed.assignment_reference import seeded_assignment_reference

needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
SCALE = 5.0


def make_inputs(batch=2, n=37, tokens_dim=6, nodes_dim=20, dtype=torch.float32, seed=0):
    """Tokens, nodes and pads; the nodes have a repeated and a zero row, and the tokens repeat each other."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(batch, n, tokens_dim, generator=generator)
    nodes = torch.randn(batch, n, nodes_dim, generator=generator, dtype=dtype)
    nodes[:, 1] = nodes[:, 0]
    nodes[0, 2] = 0
    tokens[-1, n // 3 :] = tokens[-1, :1]  # fewer distinct tokens than seeds: the picks start over
    return tokens, nodes, torch.rand(batch, n, generator=generator) < 0.2


def gradients(function, tokens, nodes, k, pad):
    """Seeds, assignment and the gradient of the nodes under one fixed direction."""
    nodes = nodes.clone().requires_grad_()
    seeds, shares = function(tokens, nodes, k, SCALE, pad)
    shares.backward(torch.randn(shares.shape, generator=torch.Generator().manual_seed(1)).to(shares.dtype))
    return seeds, shares.detach(), nodes.grad


@pytest.mark.parametrize("padded", [False, True])
def test_gradients_are_those_of_the_reference(padded):
    tokens, nodes, pad = make_inputs(dtype=torch.float64)
    nodes[0, 2] = 1e-3  # where a node is zero, so is no gradient: it is as large as one likes
    pad = pad if padded else None
    own = gradients(seeded_assignment, tokens, nodes, 15, pad)
    reference = gradients(seeded_assignment_reference, tokens, nodes, 15, pad)
    assert torch.equal(own[0], reference[0])
    for a, b in zip(own[1:], reference[1:], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_operator_keeps_the_rules_of_torch_library(dtype):
    tokens, nodes, pad = make_inputs()
    nodes = nodes.to(dtype)
    operator = torch.ops.segdepth.seeded_assignment.default
    torch.library.opcheck(operator, (tokens, nodes, 9, SCALE, pad))
    # opcheck's own compiled backward multiplies integer outputs by random floats, and fails
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(operator, (tokens, nodes.requires_grad_(), 9, SCALE, pad), test_utils=checks)


def test_autocast_touches_neither_forward_nor_backward():
    tokens, nodes, pad = make_inputs()
    plain = gradients(seeded_assignment, tokens, nodes, 9, pad)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = gradients(seeded_assignment, tokens, nodes, 9, pad)
    for a, b in zip(plain, cast, strict=True):
        assert torch.equal(a, b)


def test_more_seeds_than_tokens_are_refused():
    tokens, nodes, _ = make_inputs(n=8)
    with pytest.raises(ValueError, match="20 segments cannot be seeded from 8 tokens"):
        seeded_assignment(tokens, nodes, 20, SCALE)


def use_the_kernel():
    """Make the operator its kernel on the CPU, in a process that interprets Triton."""
    from lightning_modules.networks.shed.assignment_kernel import seeded_assignment_triton

    assignment._seeded_assignment.register_kernel("cpu")(seeded_assignment_triton)


def kernel_against_reference(n, k, dtype, padded):
    tokens, nodes, pad = make_inputs(n=n, dtype=dtype)
    run = partial(gradients, tokens=tokens, nodes=nodes, k=k, pad=pad if padded else None)
    return [*zip(run(seeded_assignment), run(seeded_assignment_reference), strict=True)]


@pytest.fixture(scope="module")
def interpreter():
    """A process of its own, since Triton reads its environment once, when torch or another first imports it."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TRITON_INTERPRET", "1")
            pool.submit(use_the_kernel).result()
        yield pool


@pytest.mark.slow
@needs_triton
@pytest.mark.parametrize(
    ("n", "k", "dtype", "padded"),
    [(37, 15, torch.float32, True), (33, 5, torch.bfloat16, False), (16, 16, torch.float32, False)],
)
def test_kernel_picks_the_same_seeds_and_gives_the_same_gradients(interpreter, n, k, dtype, padded):
    (own, seeds), *pairs = interpreter.submit(kernel_against_reference, n, k, dtype, padded).result()
    assert torch.equal(own, seeds)
    for value, reference in pairs:
        assert value.dtype == reference.dtype
        close = {"rtol": 1e-4, "atol": 1e-5} if value.dtype == torch.float32 else {"rtol": 1e-2, "atol": 1e-2}
        torch.testing.assert_close(value, reference, **close)


@pytest.mark.slow
@needs_triton
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_kernel_compiles_for_a_gpu_at_the_papers_size(dtype):
    """576 tokens, 256 seeds, for compute capability 8.0; no GPU is needed to compile."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from lightning_modules.networks.shed.assignment_kernel import BLOCK, pick_and_assign

    constants = {"all_tokens": 1024, "all_seeds": 256, "rows": BLOCK, "channels": BLOCK}
    types = {"between": "*fp64", "to_mean": "*fp64", "nodes": f"*{dtype}", "seeds": "*i64", "assignment": "*fp32"}
    types |= dict.fromkeys(("n", "k", "dim"), "i32") | dict.fromkeys(("scale", "min_norm"), "fp32")
    source = ASTSource(pick_and_assign, signature=types | dict.fromkeys(constants, "constexpr"), constexprs=constants)
    compiled = triton.compile(source, target=GPUTarget("cuda", 80, 32), options={"num_warps": 8, "num_stages": 2})
    assert compiled.asm["cubin"]
    assert compiled.metadata.shared <= 48 * 1024  # what every GPU gives a program
