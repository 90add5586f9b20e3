"""Bilinear resizing: the kernels, interpreted on the CPU, against torch in float64, forward and backward."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from lightning_modules.networks.resizing import resize_bilinear

ROOT = Path(__file__).parents[2]
SIZES = [((6, 5), (12, 10)), ((4, 4), (3, 2)), ((2, 3), (5, 3))]


def interpreted() -> None:
    """Compare the kernels with torch; run in a process that interprets Triton."""
    from lightning_modules.networks.resizing_kernel import resize_backward_triton, resize_triton

    torch.manual_seed(0)
    for small, size in SIZES:
        for layout in (torch.contiguous_format, torch.channels_last):
            for dtype, tolerance in ((torch.float32, 2e-6), (torch.bfloat16, 8e-3)):
                exact = torch.randn(1, 3, *small, dtype=dtype).double().requires_grad_()
                expected = F.interpolate(exact, size, mode="bilinear", align_corners=True)
                gradient = torch.randn(expected.shape).to(dtype)
                expected.backward(gradient.double())
                maps = exact.detach().to(dtype).contiguous(memory_format=layout)
                resized = resize_triton(maps, size)
                back = resize_backward_triton(gradient.contiguous(memory_format=layout), small)
                assert resized.dtype == back.dtype == dtype
                assert resized.is_contiguous(memory_format=layout)
                assert back.is_contiguous(memory_format=layout)
                torch.testing.assert_close(resized.double(), expected.detach(), rtol=tolerance, atol=4 * tolerance)
                torch.testing.assert_close(back.double(), exact.grad, rtol=tolerance, atol=4 * tolerance)


def test_the_kernels_agree_with_float64():
    pytest.importorskip("triton")
    code = "from tests.networks.test_resizing import interpreted; interpreted()"
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_maps_keep_their_type_under_autocast(dtype):
    maps = torch.randn(2, 3, 6, 5, dtype=dtype, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        resized = resize_bilinear(maps, (12, 10))
    assert resized.dtype == dtype
    exact = F.interpolate(maps.detach().float(), (12, 10), mode="bilinear", align_corners=True)
    torch.testing.assert_close(resized, exact.to(dtype))
