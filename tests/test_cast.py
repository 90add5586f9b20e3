"""CAST: the release's every name and shape, its forward pass, and what is learned and shown without depth."""

import argparse

import pytest
import torch
from safetensors.torch import save_file

import lightning_modules
from lightning_modules import CAST
from lightning_modules.metrics import EvalProtocol
from tests.helpers import cast_release as release
from tests.helpers.imports import offered

PROTOCOL = EvalProtocol("plain", 1e-3, 10.0)
SMALL = {"dim": 48, "depths": (2, 1, 1, 1), "segments": (12, 6, 3), "heads": 4}


def make(**options):
    return CAST(protocol=PROTOCOL, **{"pretrained": False, **options}).eval()


def superpixels(height, width, size=16, batch=2):
    rows, columns = torch.arange(height) // size, torch.arange(width) // size
    ids = (rows[:, None] * (width // size) + columns).expand(batch, -1, -1).clone()
    ids[1][ids[1] == 3] = 2  # of one image only, a superpixel is empty
    return ids


@pytest.mark.parametrize(("dim", "depths"), [(384, (3, 3, 3, 2)), (768, (3, 3, 3, 2)), (384, (6, 3, 3, 3))])
@pytest.mark.parametrize("source", ["supervised", "moco"])
def test_every_released_name_and_shape_fits(dim, depths, source, monkeypatch):
    """CAST-S, CAST-B and CAST-SD."""
    names = release.shapes(dim, depths)
    if source == "moco":  # two networks, with projectors in place of the classifier
        names = {name: shape for name, shape in names.items() if not name.startswith("head")}
        names |= {"head.0.weight": (4096, dim), "head.1.running_mean": (4096,)}
        names = {f"{part}.{name}": s for part in ("base_encoder", "momentum_encoder") for name, s in names.items()}
        names |= {"predictor.0.weight": (4096, 256)}
    with torch.device("meta"):
        method = make(dim=dim, depths=depths)
    empty = {name: torch.empty(shape, device="meta") for name, shape in names.items()}
    monkeypatch.setattr("lightning_modules.cast.read_weights", lambda path: empty)
    method.load_checkpoint("released.pth", depths)


def test_forward_is_the_release_s(tmp_path):
    """Smaller than it, in float64 but for the positions; `cast` treats padding as it does."""
    weights = release.random_weights(release.shapes(SMALL["dim"], SMALL["depths"], grid=8 * 8))
    path = tmp_path / "checkpoint.pth"
    torch.save({"state_dict": weights, "args": argparse.Namespace(lr=1e-4)}, path)
    method = make(**SMALL, pad_tokens="cast", checkpoint=str(path)).double()
    method.load_checkpoint(str(path), SMALL["depths"])  # again, what the first time was rounded to float32
    image = torch.randn(2, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ids = superpixels(64, 64)
    with torch.no_grad():
        output = method.network(image, ids)
        embedding, logits = release.predict(weights, image, ids, 4, SMALL["depths"], SMALL["segments"])
    torch.testing.assert_close(output.embedding, embedding, rtol=1e-5, atol=1e-6)
    for mine, theirs in zip(output.assignments, logits, strict=True):
        torch.testing.assert_close(mine, theirs.softmax(-1), rtol=1e-5, atol=1e-6)
        assert torch.equal(mine.argmax(2), theirs.argmax(2))


def test_the_prediction_is_a_hierarchy_without_depth():
    method = make(**SMALL)
    batch = {"image": torch.randn(2, 3, 64, 96), "superpixels": superpixels(64, 96)}
    with torch.no_grad():
        prediction = method(batch)
    assert prediction.depth is None
    assert prediction.image_classes.shape == (2, 40)
    assert prediction.embedding.shape == (2, 48)
    assert [level.shape for level in prediction.segments] == [(2, 64, 96)] * 4
    for fine, coarse, most in zip(prediction.segments, prediction.segments[1:], (12, 6, 3), strict=False):
        for f, c in zip(fine, coarse, strict=True):
            assert len(c.unique()) <= most
            assert len(torch.stack([f, c]).flatten(1).unique(dim=1).T) == len(f.unique())  # nested
    with torch.no_grad():  # padding of one image has no say in another, nor in its own
        alone = method({"image": batch["image"][1:], "superpixels": batch["superpixels"][1:]})
    torch.testing.assert_close(alone.image_classes, prediction.image_classes[1:], rtol=1e-4, atol=1e-5)


def test_every_parameter_learns():
    method = make(**SMALL).train()
    batch = {
        "image": torch.randn(2, 3, 64, 64), "superpixels": superpixels(64, 64),
        "semantics": torch.randint(0, 41, (2, 30, 40)),
    }  # fmt: skip
    prediction = method(batch)
    assert prediction.segments == []
    losses = method.losses(prediction, batch)
    assert losses.keys() == {"image_classes"}
    losses["image_classes"].backward()
    without = [name for name, p in method.network.named_parameters() if p.grad is None]
    assert without == []


def test_pretrained_needs_a_file():
    with pytest.raises(ValueError, match=r"CAST's weights are on no hub: .*model\.init_args\.pretrained false"):
        make(pretrained=True)


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
@pytest.mark.parametrize("form", ["released", "of a run"])
def test_pretrained_names_a_file(tmp_path, form, ending):
    path = tmp_path / f"weights{ending}"
    if form == "released":
        weights = release.random_weights(release.shapes(SMALL["dim"], SMALL["depths"], grid=8 * 8))
        weights = {f"module.{name}": value.float().clone() for name, value in weights.items()}
        expected = make(**SMALL, checkpoint=str(_save(weights, tmp_path / "same.pth"))).network.state_dict()
    else:
        expected = make(**SMALL).network.state_dict()
        weights = {f"network.{name}": value for name, value in expected.items()}
    made = make(**SMALL, pretrained=str(_save(weights, path))).network.state_dict()
    for name, value in expected.items():
        if form == "of a run" or not name.startswith("head."):  # the release's has 1000 classes
            assert torch.equal(made[name], value), name


def _save(weights, path):
    save_file(weights, path) if path.suffix == ".safetensors" else torch.save(weights, path)
    return path


def test_what_does_not_fit_is_listed(tmp_path):
    weights = release.random_weights(release.shapes(SMALL["dim"], SMALL["depths"], grid=8 * 8))
    del weights["norm.bias"]
    weights["blocks.0.norm1.weight"] = torch.ones(7)
    path = str(_save(weights, tmp_path / "weights.pth"))
    with pytest.raises(ValueError, match=r"`CAST`: 1 missing \(norm\.bias\); 1 of another shape \(encoder.*is \(7,\)"):
        make(**SMALL, pretrained=path)
    with pytest.raises(FileNotFoundError, match="no such file; `pretrained` takes"):
        make(**SMALL, pretrained=str(tmp_path / "other.pth"))
    with pytest.raises(ValueError, match="leave one of the two files out"):
        make(**SMALL, pretrained=path, checkpoint=path)
    with pytest.raises(ValueError, match="CAST's weights are in no package"):
        make(**SMALL, pretrained="lite")


def test_stages_and_poolings_must_fit():
    with pytest.raises(ValueError, match=r"`depths` \[2, 2\] must have one entry more than `segments` \[12, 6, 3\]"):
        make(**SMALL | {"depths": (2, 2)})


def test_validation_talks_to_no_other_process(monkeypatch):
    """One process may have a batch more than the next: a sum over processes in it would wait for ever."""
    method = make(**SMALL)
    batch = {
        "image": torch.randn(2, 3, 64, 96),
        "superpixels": superpixels(64, 96),
        "semantics": torch.ones(2, 64, 96, dtype=torch.int64),
        "depth": torch.ones(2, 1, 64, 96),
    }
    logged = {}
    monkeypatch.setattr(method, "log_dict", lambda figures, **_: logged.update(figures))
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda *_: 2)
    with torch.no_grad():
        method.validation_step(batch, 0)
    assert logged["val/loss"] > 0


def test_no_method_has_a_validation_of_its_own():
    """That of ``DepthModule`` takes every loss of this process alone."""
    methods = [method for method in offered(lightning_modules).values() if isinstance(method, type)]
    own = [method.__name__ for method in methods if "validation_step" in vars(method)]
    assert own in ([], ["DepthModule"])
