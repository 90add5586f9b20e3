"""Whether the GPU computes what the CPU does, without waiting: each check returns what it measured, or an error."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.gpu_check.worker import NETWORKS, Step, make_batch, make_method

Result = dict[str, Any]


def relative(result: Tensor, reference: Tensor) -> float:
    """Return |result - reference| / |reference|."""
    reference = reference.double().cpu()
    return ((result.double().cpu() - reference).norm() / reference.norm()).item()


def assignment() -> Result:
    """Compare the assignment's kernel with plain torch on the CPU: seeds, P and the gradient of the nodes."""
    from lightning_modules.networks.shed.assignment import seeded_assignment

    result: Result = {}
    for n, k in ((576, 256), (256, 128), (128, 64), (2304, 1024)):
        tokens, nodes = torch.randn(2, n, 384), torch.randn(2, n, 384)
        weight = torch.randn(2, n, k)
        outcomes = []
        for device in ("cpu", "cuda"):
            own = nodes.to(device).requires_grad_()
            seeds, shares = seeded_assignment(tokens.to(device), own, k, 5.0)
            (gradient,) = torch.autograd.grad((shares * weight.to(device)).sum(), own)
            outcomes.append((seeds.cpu(), shares.detach(), gradient))
        (seeds, shares, gradient), (seeds_gpu, shares_gpu, gradient_gpu) = outcomes
        result[f"{n} to {k}"] = {
            "other seeds": int((seeds != seeds_gpu).sum()),
            "P": relative(shares_gpu, shares),
            "gradient": relative(gradient_gpu, gradient),
        }
    result["passed"] = all(each["other seeds"] == 0 and each["P"] < 1e-3 for each in list(result.values()))
    return result


def resizing() -> Result:
    """Compare the resizing kernels with torch in float64, and time both ways on the largest map of a step."""
    from lightning_modules.networks.resizing import resize_bilinear

    result: Result = {}
    for layout in (torch.contiguous_format, torch.channels_last):
        for dtype in (torch.float32, torch.bfloat16):
            maps = torch.randn(4, 128, 96, 96, dtype=dtype, device="cuda").contiguous(memory_format=layout)
            gradient = torch.randn(4, 128, 192, 192, dtype=dtype, device="cuda").contiguous(memory_format=layout)
            own = maps.detach().requires_grad_()
            resized = resize_bilinear(own, (192, 192))
            (back,) = torch.autograd.grad(resized, own, gradient)
            exact = maps.double().requires_grad_()
            expected = F.interpolate(exact, (192, 192), mode="bilinear", align_corners=True)
            (expected_back,) = torch.autograd.grad(expected, exact, gradient.double())
            name = f"{str(dtype).removeprefix('torch.')} {str(layout).removeprefix('torch.')}"
            result[name] = {"forward": relative(resized, expected), "backward": relative(back, expected_back)}
    limits = {"float32": 1e-5, "bfloat16": 5e-3}
    result["passed"] = all(max(each.values()) < limits[name.split()[0]] for name, each in result.items())
    return result


def no_waiting() -> Result:
    """Run a step of each network where any wait of the processor for the GPU raises an error."""
    result: Result = {}
    for network in NETWORKS:
        step = Step(network, "eager", batch=2, size=192, device="cuda", small=True)
        step()
        step.module.nonfinite.settle()
        step.wait()
        torch.cuda.set_sync_debug_mode("error")
        try:
            step()
            result[network] = "none"
        except RuntimeError as error:
            result[network] = str(error).splitlines()[0][:200]
        finally:
            torch.cuda.set_sync_debug_mode("default")
    result["passed"] = all(value == "none" for value in result.values())
    return result


def against_cpu() -> Result:
    """Compare depth, loss and gradient of a step on the GPU, in each precision, with float32 on the CPU."""
    result: Result = {}
    for network in NETWORKS:
        torch.manual_seed(0)
        method = make_method(network, 192, small=True).eval()  # without dropout, whose random numbers differ
        batch = make_batch(2, 192, "cpu")
        reference = outcome(method, batch, "cpu", None)
        method.to("cuda")
        batch = {key: value.cuda() if isinstance(value, Tensor) else value for key, value in batch.items()}
        for name, dtype in (("fp32", None), ("bf16", torch.bfloat16), ("fp16", torch.float16)):
            found = outcome(method, batch, "cuda", dtype)
            errors = {key: relative(found[key], reference[key]) for key in reference}
            result[f"{network} {name}"] = errors
    limits = {"fp32": 5e-3, "bf16": 5e-2, "fp16": 2e-2}
    result["passed"] = all(
        errors["depth"] < limits[name.split()[-1]] and errors["loss"] < limits[name.split()[-1]]
        for name, errors in result.items()
    )
    return result


def outcome(method: Any, batch: dict[str, Any], device: str, dtype: torch.dtype | None) -> dict[str, Tensor]:
    """Return depth, loss and the whole gradient of a batch."""
    method.zero_grad(set_to_none=True)
    with torch.autocast(device, dtype=dtype or torch.bfloat16, enabled=dtype is not None):
        prediction = method(batch)
        loss = torch.stack(list(method.losses(prediction, batch).values())).sum()
    loss.backward()
    gradient = torch.cat([each.grad.flatten() for each in method.parameters() if each.grad is not None])
    return {"depth": prediction.depth.detach(), "loss": loss.detach(), "gradient": gradient}


def captured_is_eager() -> Result:
    """Compare the losses of five captured steps with those of five plain ones from the same weights."""
    result: Result = {}
    for network in NETWORKS:
        losses = {}
        for mode in ("eager", "captured"):
            step = Step(network, mode, batch=2, size=192, device="cuda", small=True)
            for module in step.module.modules():
                if isinstance(module, torch.nn.Dropout):
                    module.p = 0.0
            losses[mode] = torch.stack([torch.stack(list(step().values())).sum().detach() for _ in range(5)])
        result[network] = {"losses": relative(losses["captured"], losses["eager"])}
    result["passed"] = all(each["losses"] < 1e-2 for each in list(result.values()))
    return result


def graph_breaks() -> Result:
    """Compile the small networks block by block, and count graph breaks and what a second step compiles again."""
    from torch._dynamo.utils import counters

    result: Result = {}
    for network in NETWORKS:
        torch.compiler.reset()
        counters.clear()
        step = Step(network, "compiled", batch=2, size=192, device="cuda", small=True)
        step()
        graphs = counters["stats"]["unique_graphs"]
        step()
        result[network] = {
            "graphs": graphs,
            "graph breaks": sum(counters["graph_break"].values()),
            "compiled again": counters["stats"]["unique_graphs"] - graphs,
        }
    result["passed"] = all(not each["graph breaks"] and not each["compiled again"] for each in list(result.values()))
    return result


#: In order of importance.
CHECKS: dict[str, Callable[[], Result]] = {
    "resizing kernel": resizing,
    "assignment kernel": assignment,
    "no waiting": no_waiting,
    "captured steps are the plain ones": captured_is_eager,
    "GPU against CPU": against_cpu,
    "graph breaks": graph_breaks,
}


def run_check(name: str) -> Result:
    """Run a check; an exception becomes its ``error``."""
    try:
        return CHECKS[name]()
    except Exception as error:
        message = (str(error).strip().splitlines() or [""])[0]
        return {"passed": False, "error": f"{type(error).__name__}: {message[:300]}"}
