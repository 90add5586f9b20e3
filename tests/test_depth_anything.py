"""Depth Anything v2: the release's every name and shape, and its forward pass."""

import pytest
import torch

from lightning_modules import DepthAnythingV2
from lightning_modules.backbones.weight_files import read_weights
from lightning_modules.metrics import EvalProtocol
from tests.helpers import depth_anything_release as release

PROTOCOL = EvalProtocol("plain", 1e-3, 20.0)
BACKBONES = {"vits": "vit_small_patch14_dinov2", "vitb": "vit_base_patch14_dinov2", "vitl": "vit_large_patch14_dinov2"}


def make(size="vits", **options):
    _, _, _, taps, width, channels = release.SIZES[size]
    return DepthAnythingV2(
        protocol=PROTOCOL, backbone=BACKBONES[size], pretrained=False, taps=taps, width=width, channels=channels,
        **options,
    ).eval()  # fmt: skip


@pytest.fixture(scope="module")
def weights():
    dim, blocks, _, _, features, channels = release.SIZES["vits"]
    return release.random_weights(release.shapes(dim, blocks, features, channels))


@pytest.fixture
def file(tmp_path, weights):
    path = tmp_path / "depth_anything_v2_metric_hypersim_vits.pth"
    torch.save(weights, path)
    return path


@pytest.fixture(scope="module")
def loaded(weights, tmp_path_factory):
    path = tmp_path_factory.mktemp("release") / "vits.pth"
    torch.save(weights, path)
    return make(checkpoint=str(path))


@pytest.mark.parametrize("size", ["vits", pytest.param("vitb", marks=pytest.mark.slow),
                                  pytest.param("vitl", marks=pytest.mark.slow)])  # fmt: skip
def test_every_released_name_and_shape_fits(size, monkeypatch):
    dim, blocks, _, _, features, channels = release.SIZES[size]
    names = release.shapes(dim, blocks, features, channels)
    with torch.device("meta"):
        method = make(size)
    empty = {name: torch.empty(shape, device="meta") for name, shape in names.items()}
    monkeypatch.setattr("lightning_modules.depth_anything.read_weights", lambda path: empty)
    method.load_checkpoint("released.pth")
    unused = {"pretrained.mask_token", *(name for name in names if "refinenet4.resConfUnit1" in name)}
    count = sum(p.numel() for p in method.network.parameters())
    assert count == sum(torch.Size(shape).numel() for name, shape in names.items() if name not in unused)
    # 24.8, 97.5 and 335.3 million parameters, as the release's table of models counts them
    whole = sum(torch.Size(shape).numel() for shape in names.values())
    assert round(whole / 1e6, 1) == {"vits": 24.8, "vitb": 97.5, "vitl": 335.3}[size]


@pytest.mark.parametrize("size", [(70, 98), (98, 70), pytest.param((518, 518), marks=pytest.mark.slow)])
def test_forward_is_the_release_s(loaded, weights, size):
    """Other grids than the one trained on have their positions resampled; 518x518 has them as learned."""
    image = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        mine = loaded({"image": image}).depth
        theirs = release.predict(weights, image, heads=6, taps=(2, 5, 8, 11))
    assert theirs.std() > 0.05  # an answer of its own for every pixel, not a saturated sigmoid
    torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


def test_the_class_token_of_the_last_tap_describes_the_image(loaded):
    image = torch.randn(2, 3, 56, 56)
    with torch.no_grad():
        prediction = loaded({"image": image})
        tokens = loaded.network.backbone.network.forward_intermediates(
            image, [11], norm=True, intermediates_only=True, return_prefix_tokens=True
        )
    assert prediction.embedding.shape == (2, 384)
    assert torch.nn.functional.cosine_similarity(prediction.embedding, tokens[0][1][:, 0]).min() > 0.99


def test_the_encoder_alone(file, weights):
    """As the release trains metric depth: only the names of the encoder count, and the head stays as it was."""
    torch.manual_seed(3)
    fresh = make()
    torch.manual_seed(3)
    method = make(checkpoint=str(file), checkpoint_part="encoder")
    state = method.network.state_dict()
    torch.testing.assert_close(state["backbone.network.blocks.5.ls1.gamma"], weights["pretrained.blocks.5.ls1.gamma"])
    torch.testing.assert_close(state["head.conv1.weight"], fresh.network.state_dict()["head.conv1.weight"])


def test_training_states_hold_the_model_within(tmp_path, weights):
    path = tmp_path / "latest.pth"
    torch.save({"model": {f"module.{name}": w for name, w in weights.items()}, "epoch": 3}, path)
    assert read_weights(str(path)).keys() == weights.keys()


class TestBadCheckpoints:
    def load(self, tmp_path, weights):
        path = tmp_path / "weights.pth"
        torch.save(weights, path)
        make().load_checkpoint(str(path))

    def test_missing_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"none\.pth: no such file; `model\.init_args\.checkpoint`"):
            make(checkpoint=str(tmp_path / "none.pth"))

    def test_no_weights(self, tmp_path):
        path = tmp_path / "text.pth"
        path.write_text("not weights")
        with pytest.raises(ValueError, match=r"text\.pth: no file of weights"):
            make(checkpoint=str(path))

    def test_code_is_not_run(self, tmp_path):
        class Evil:
            def __reduce__(self):
                return (print, ("run",))

        with pytest.raises(ValueError, match="no file of weights"):
            self.load(tmp_path, {"x": Evil()})

    def test_unknown_name(self, tmp_path, weights):
        with pytest.raises(ValueError, match=r"`encoder\.x` belongs to no part of this network"):
            self.load(tmp_path, weights | {"encoder.x": torch.zeros(1)})

    def test_missing_name(self, tmp_path, weights):
        rest = {name: w for name, w in weights.items() if name != "depth_head.scratch.layer2_rn.weight"}
        with pytest.raises(ValueError, match=r"`map_projections\.1\.weight` is not there in the file"):
            self.load(tmp_path, rest)

    def test_other_size(self, tmp_path, weights):
        changed = weights | {"depth_head.projects.0.weight": torch.zeros(96, 384, 1, 1)}
        with pytest.raises(
            ValueError, match=r"`projections\.0\.weight` is \(96, 384, 1, 1\) in the file and \(48, 384"
        ):
            self.load(tmp_path, changed)


def test_no_vision_transformer():
    with pytest.raises(ValueError, match="backbone `resnet18` is none"):
        DepthAnythingV2(protocol=PROTOCOL, backbone="resnet18", pretrained=False)


def test_any_vision_transformer_will_do():
    method = DepthAnythingV2(
        protocol=PROTOCOL, backbone="vit_tiny_patch16_224", pretrained=False, channels=(8, 8, 16, 16), width=16
    )
    prediction = method({"image": torch.randn(2, 3, 48, 80)})
    assert prediction.depth.shape == (2, 1, 48, 80)
    prediction.depth.sum().backward()
    assert [name for name, p in method.network.named_parameters() if p.grad is None] == []


HF_BLOCK = {
    "norm1": "norm1", "norm2": "norm2", "attn.proj": "attention.o_proj", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2",
}  # fmt: skip


def as_transformers(weights, names):
    """Released weights under the names of Hugging Face's implementation, which splits queries, keys and values."""
    found = {}
    for name in names:
        part = name.removeprefix("backbone.").removeprefix("neck.")
        if name.startswith("backbone.encoder.layer."):
            _, _, index, *inner = part.split(".")
            block, inner = f"pretrained.blocks.{index}", ".".join(inner)
            if inner.startswith("layer_scale"):
                found[name] = weights[f"{block}.ls{inner[len('layer_scale')]}.gamma"]
            elif inner.split(".")[1] in ("q_proj", "k_proj", "v_proj"):
                third = "qkv".index(inner.split(".")[1][0])
                found[name] = weights[f"{block}.attn.qkv.{inner.split('.')[-1]}"].chunk(3)[third]
            else:
                module, _, kind = inner.rpartition(".")
                own = next(key for key, value in HF_BLOCK.items() if value == module)
                found[name] = weights[f"{block}.{own}.{kind}"]
        elif name.startswith("neck.fusion_stage.layers."):
            _, _, index, *inner = part.split(".")
            inner = ".".join(inner).replace("residual_layer", "resConfUnit").replace("convolution", "conv")
            inner = inner.replace("projection", "out_conv")
            found[name] = weights[f"depth_head.scratch.refinenet{4 - int(index)}.{inner}"]
        elif name.startswith("neck.reassemble_stage.layers."):
            _, _, index, kind, end = part.split(".")
            kind = "projects" if kind == "projection" else "resize_layers"
            found[name] = weights[f"depth_head.{kind}.{index}.{end}"]
        elif name.startswith("neck.convs."):
            found[name] = weights[f"depth_head.scratch.layer{int(part.split('.')[1]) + 1}_rn.weight"]
        elif name.startswith("head."):
            own = {"conv1": "output_conv1", "conv2": "output_conv2.0", "conv3": "output_conv2.2"}
            found[name] = weights[f"depth_head.scratch.{own[part.split('.')[1]]}.{part.split('.')[2]}"]
        else:
            own = {
                "embeddings.cls_token": "cls_token", "embeddings.mask_token": "mask_token",
                "embeddings.position_embeddings": "pos_embed",
                "embeddings.patch_embeddings.projection.weight": "patch_embed.proj.weight",
                "embeddings.patch_embeddings.projection.bias": "patch_embed.proj.bias",
                "layernorm.weight": "norm.weight", "layernorm.bias": "norm.bias",
            }  # fmt: skip
            found[name] = weights[f"pretrained.{own[part]}"]
    return found


def test_forward_is_that_of_transformers(loaded, weights):
    """At the size that was trained at; elsewhere theirs resamples positions without the release's offset."""
    transformers = pytest.importorskip("transformers", reason="needs Hugging Face's transformers")
    backbone = transformers.Dinov2Config(
        hidden_size=384, num_hidden_layers=12, num_attention_heads=6, image_size=518, patch_size=14,
        out_indices=[3, 6, 9, 12], apply_layernorm=True, reshape_hidden_states=False,
    )  # fmt: skip
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=384, neck_hidden_sizes=[48, 96, 192, 384],
        fusion_hidden_size=64, head_in_channels=64, depth_estimation_type="metric", max_depth=20,
    )  # fmt: skip
    theirs = transformers.DepthAnythingForDepthEstimation(config).eval()
    theirs.load_state_dict(as_transformers(weights, theirs.state_dict()))
    image = torch.randn(1, 3, 518, 518, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        expected = theirs(image).predicted_depth[:, None]
        torch.testing.assert_close(loaded({"image": image}).depth, expected, rtol=1e-4, atol=1e-4)
