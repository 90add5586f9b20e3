"""Region Support Network as a method: what each stage predicts, learns and needs; how stages are put together."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from callbacks.pictures.frame_view import view_frame
from lightning_modules import RegionSupportNetwork
from lightning_modules.evaluation import Evaluation, EvaluationOptions
from lightning_modules.losses import RegionLoss
from lightning_modules.metrics import EvalProtocol
from lightning_modules.region_support import RegionSupportStage
from lightning_modules.stages import resolve_stages
from tests.helpers.tested_frames import frame_of

PROTOCOL = EvalProtocol("plain", min_depth=0.1, max_depth=10.0)
GENERATION = RegionSupportStage("generation", 1, ("generation",), terms={"support": 1.0})
REFINEMENT = RegionSupportStage("refinement", 1, ("refinement",), guidance="truth", terms={"depth": 1.0})
JOINED = RegionSupportStage("joined", 0, guidance="generated")
SEMANTIC = RegionSupportStage("semantic", 1, ("refinement",), guidance="semantic", terms={"depth": 1.0})
TOGETHER = RegionSupportStage(
    "end_to_end", 1, ("generation", "refinement"), guidance="generated", terms={"support": 0.3, "depth": 0.7}
)


def make(*stages, **options):
    torch.manual_seed(0)
    return RegionSupportNetwork(
        stages=stages, pretrained=False, width_mult=1 / 16, protocol=PROTOCOL, **options
    )  # fmt: skip


def make_batch(height=24, width=32):
    generator = torch.Generator().manual_seed(0)
    depth = 1 + 4 * torch.rand(2, 1, height, width, generator=generator)
    regions = torch.arange(width).expand(2, height, width) // 8
    return {
        "image": torch.randn(2, 3, height, width, generator=generator),
        "depth": depth,
        "valid": torch.rand(depth.shape, generator=generator) > 0.1,
        "region_support": torch.where(regions > 0, 2.0 + regions, 0.0)[:, None],
        "regions": regions,
        "semantics": regions * 100,
    }


def test_each_guidance():
    batch = make_batch()
    module = make(GENERATION, REFINEMENT, SEMANTIC, JOINED).eval()
    generation, refinement = module.network["generation"], module.network["refinement"]
    support, truth = generation(batch["image"]), batch["region_support"]
    expected = [
        [support],
        refinement(batch["image"], truth, truth),
        refinement(batch["image"], batch["semantics"][:, None] / 894, support),
        refinement(batch["image"], support, support),
    ]
    for number, depths in enumerate(expected):
        module.enter_stage(number)
        prediction = module.eval()(batch)
        torch.testing.assert_close(prediction.depth, depths[-1])
        if number:
            torch.testing.assert_close(torch.stack(prediction.aux[1:]), torch.stack(depths[:-1]))
            torch.testing.assert_close(prediction.aux[0], truth if number == 1 else support)


def test_truth_on_another_grid_than_the_image():
    batch = make_batch()
    batch["image"] = batch["image"][..., ::2, ::2]
    assert make(REFINEMENT).eval()(batch).depth.shape == (2, 1, 12, 16)


def test_the_truth_as_depth():
    module = make(RegionSupportStage("truth", 0, guidance="truth_as_depth"))
    batch = make_batch()
    prediction = module(batch)
    assert torch.equal(prediction.depth, batch["region_support"])
    assert torch.equal(prediction.covered, batch["regions"][:, None] > 0)
    assert not list(module.network.parameters())
    assert module.configure_optimizers() is None
    assert module.requires == {"region_support"}


def test_learning_rates_are_scaled_in_every_stage(monkeypatch):
    scale = {"network.generation": 0.1, "network.refinement": 0.5, "network.generation.features": 0.01}
    module = make(
        GENERATION, REFINEMENT, TOGETHER, optimizer=lambda groups: torch.optim.SGD(groups, lr=1.0), lr_scale=scale
    )
    monkeypatch.setattr(type(module), "trainer", SimpleNamespace(estimated_stepping_batches=9), raising=False)
    for number, rates in enumerate(({0.1, 0.01}, {0.5}, {0.5, 0.1, 0.01})):
        module.enter_stage(number)
        optimizer = module.configure_optimizers()["optimizer"]
        assert {group["lr"] for group in optimizer.param_groups} == rates
        trained = {parameter for group in optimizer.param_groups for parameter in group["params"]}
        assert trained == {parameter for parameter in module.parameters() if parameter.requires_grad}


def test_learning_rates_of_nothing_are_refused_in_every_stage(monkeypatch):
    module = make(GENERATION, REFINEMENT, lr_scale={"network.generatio": 0.1})
    monkeypatch.setattr(type(module), "trainer", SimpleNamespace(estimated_stepping_batches=9), raising=False)
    for number in range(2):
        module.enter_stage(number)
        with pytest.raises(ValueError, match=r"begins with `network\.generatio`; did you mean `network\.generation`"):
            module.configure_optimizers()


@pytest.mark.parametrize("step", [1, 2])
def test_pixels_without_support_are_left_out_and_counted(step):
    """At the truth's size, and where half of it is predicted: what an uncovered pixel takes part in is left out."""
    module = make(RegionSupportStage("truth", 0, guidance="truth_as_depth"))
    batch = make_batch()
    batch["region_support"] = torch.where(batch["regions"][:, None] > 0, batch["depth"] + 0.5, 0.0)
    batch["image"] = batch["image"][..., ::step, ::step]
    if step == 2:
        batch["depth"] = torch.full_like(batch["depth"], 3.0)
        batch["region_support"] = torch.where(batch["regions"][:, None] > 0, 3.5, 0.0)
    evaluation = Evaluation(PROTOCOL, EvaluationOptions(groups=("depth", "coverage")))
    evaluation.update(module(batch), batch)
    figures = evaluation.compute()
    assert figures["rmse"] == pytest.approx(0.5, abs=1e-5)
    first = 8 if step == 1 else 9  # the ninth column lies between the last without and the first with support
    assert figures["coverage_excluded"] == batch["valid"][..., :first].sum()
    assert figures["pixels_covered"] == pytest.approx(batch["valid"][..., first:].sum() / batch["valid"].sum())
    assert figures["excluded"] == 0


def test_equation_4():
    module, batch = make(TOGETHER), make_batch()
    prediction = module(batch)
    losses = module.losses(prediction, batch)
    loss, valid, regions = RegionLoss(), batch["valid"], batch["regions"]
    support = loss(prediction.aux[0], batch["region_support"], regions, valid & (batch["region_support"] > 0))
    iterations = [loss(depth, batch["depth"], regions, valid) for depth in (*prediction.aux[1:], prediction.depth)]
    refined = sum(w * term for w, term in zip((0.2, 0.3, 0.5), iterations, strict=True))
    assert losses["support"].item() == pytest.approx(0.3 * support.item(), rel=1e-6)
    assert losses["depth"].item() == pytest.approx(0.7 * refined.item(), rel=1e-6)


@pytest.mark.parametrize(("loss", "space"), [("region", "linear"), ("l2", "log"), ("l2", "linear")])
def test_other_losses(loss, space):
    module, batch = (
        make(RegionSupportStage("g", 1, ("generation",), terms={"coarse": 2.0}, loss=loss, space=space)),
        make_batch(),
    )
    prediction = module(batch)
    value = module.losses(prediction, batch)["coarse"]
    y, d = (np.log(m) if space == "log" else m for m in (prediction.depth.detach().numpy(), batch["depth"].numpy()))
    error, valid, regions = (y - d)[:, 0], batch["valid"][:, 0].numpy(), batch["regions"].numpy()
    if loss == "l2":
        expected = np.mean([(error[i][valid[i]] ** 2).mean() for i in range(2)])
    else:
        expected = np.mean(
            [[abs(error[i][valid[i] & (regions[i] == r)]).mean() for r in range(1, 4)] for i in range(2)]
        )
    assert value.item() == pytest.approx(2 * expected, rel=1e-5)


def test_what_is_required():
    assert make(GENERATION).requires == {"regions", "region_support"}
    assert make(SEMANTIC).requires == {"regions", "semantics"}
    assert make(RegionSupportStage("g", 1, ("generation",), terms={"coarse": 1.0}, loss="l2")).requires == set()
    assert make(GENERATION, REFINEMENT, JOINED).requires == {"regions", "region_support"}


@pytest.mark.parametrize(
    ("stages", "oracle"),
    [
        ((REFINEMENT,), "region support"),
        ((RegionSupportStage("truth", 0, guidance="truth_as_depth"),), "region support"),
        ((GENERATION, REFINEMENT, JOINED), ""),
        ((GENERATION,), ""),
        ((SEMANTIC,), "semantics"),
    ],
)
def test_who_is_given_the_truth_says_so(stages, oracle):
    module = make(*stages)
    assert module.oracle == oracle
    assert module.facts.get("oracle", "") == oracle


def test_pictures_are_told_of_the_present_stage():
    module = make(GENERATION, REFINEMENT, JOINED)
    said = []
    for number in range(3):
        module.enter_stage(number)
        said.append((module.oracle, module.oracle_in_use))
    assert said == [("", ""), ("", "region support"), ("", "")]


def test_modules_that_no_stage_uses_are_not_built():
    assert set(make(GENERATION).network) == {"generation"}
    assert set(make(REFINEMENT).network) == {"refinement"}
    assert set(make(SEMANTIC).network) == {"generation", "refinement"}


@pytest.mark.parametrize("frozen_eval", [True, False])
def test_frozen_parts(frozen_eval):
    frozen = RegionSupportStage(
        "frozen", 1, ("refinement",), guidance="generated", terms={"depth": 1.0}, frozen_eval=frozen_eval
    )
    module, batch = make(GENERATION, frozen), make_batch()
    module.train()
    before = {name: value.clone() for name, value in module.network.state_dict().items()}
    module.enter_stage(1)
    module.train()
    optimizer = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], 0.1)
    sum(module.losses(module(batch), batch).values()).backward()
    optimizer.step()
    changed = {name for name, value in module.network.state_dict().items() if not torch.equal(value, before[name])}
    generation = {name for name in changed if name.startswith("generation")}
    assert all(name.rpartition(".")[2] in ("running_mean", "running_var", "num_batches_tracked") for name in generation)
    assert bool(generation) != frozen_eval
    assert all(p.grad is None for p in module.network["generation"].parameters())
    assert {"refinement.regression.0.0.weight", "refinement.regression.0.1.running_mean"} <= changed
    module.enter_stage(0)
    assert all(p.requires_grad for p in module.network["generation"].parameters())


def test_gradient_goes_through_a_frozen_refinement():
    frozen = RegionSupportStage("f", 1, ("generation",), guidance="generated", terms={"depth": 1.0})
    module, batch = make(frozen, REFINEMENT), make_batch()
    module.enter_stage(0)
    sum(module.losses(module.train()(batch), batch).values()).backward()
    assert all(p.grad is not None and p.grad.any() for p in module.network["generation"].regression.parameters())
    assert all(p.grad is None for p in module.network["refinement"].parameters())


def test_stages_are_resolved():
    linear = RegionSupportStage("linear", 2, ("generation",), terms={"support": 1.0}, space="linear")
    stages = (linear, GENERATION, REFINEMENT, TOGETHER)
    changed = resolve_stages(stages, {"linear": 5, "end_to_end": 0}, {})
    assert [stage.epochs for stage in changed] == [5, 1, 1, 0]
    taken = resolve_stages(stages, {}, {"generation": "runs/a"})
    assert [(stage.name, stage.epochs, stage.init_from) for stage in taken] == [
        ("generation", 0, "runs/a"), ("refinement", 1, None), ("end_to_end", 1, None)
    ]  # fmt: skip


def test_mistakes_in_stages():
    for arguments, message in (
        (((), {}, {}), "must list at least one"),
        (((GENERATION, GENERATION), {}, {}), "two stages are called `generation`"),
        (((GENERATION,), {"x": 1}, {}), "`model.init_args.stage_epochs`: no stage `x`; stages: generation"),
        (((GENERATION,), {}, {"y": "z"}), "`model.init_args.stage_from`: no stage `y`"),
        (((GENERATION,), {"generation": -1}, {}), "`epochs` must be at least 0, is -1"),
    ):
        with pytest.raises(ValueError, match=message):
            resolve_stages(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 1}, "`trains` names no part"),
        ({"epochs": 1, "trains": ("generation",)}, "`terms` of the loss are not set"),
        ({"terms": {"depht": 1.0}}, "no term `depht`"),
        ({"terms": {"depth": 1.0}}, "`guidance: none` refines nothing"),
        ({"guidance": "truth", "terms": {"support": 1.0}}, "generates nothing"),
        ({"trains": ("generation",), "guidance": "truth"}, "`guidance: truth` leaves generation nothing to train for"),
    ],
)
def test_mistakes_in_a_stage(options, message):
    with pytest.raises(ValueError, match=f"^stage `s`: .*{message}"):
        RegionSupportStage("s", **{"epochs": 0, **options})


def test_options_that_contradict_each_other():
    with pytest.raises(ValueError, match="2 `iterations` need as many `iteration_weights`, got 3"):
        make(REFINEMENT, iterations=2)
    with pytest.raises(ValueError, match="has no channel for `guidance: semantic`"):
        make(SEMANTIC, refinement_channels=4)


def test_pictures_say_what_the_present_stage_is_given():
    module, batch = make(GENERATION, REFINEMENT, JOINED).eval(), make_batch()
    module.validation_losses = lambda *_: {"none": torch.zeros(())}  # the last stage trains nothing
    titles = []
    for number in range(3):
        module.enter_stage(number)
        with torch.no_grad():
            output = module.validation_step(batch, 0)
            titles.append(view_frame(frame_of(output, batch, method=module)).prediction_title)
    assert titles == ["prediction", "prediction (oracle region support)", "prediction"]
