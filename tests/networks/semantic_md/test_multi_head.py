"""Networks with several heads against segmentation-models-pytorch's own models, and every kind of encoder."""

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import nn

from lightning_modules.networks.semantic_md.first_convolution import widen_first_convolution
from lightning_modules.networks.semantic_md.multi_head import MultiHeadNetwork

#: The paper's pairs, and others of smp.
PAIRS = [
    ("efficientnet_b4", "unet"),
    ("efficientnet_b4", "deeplabv3"),
    pytest.param("efficientnet_b2", "unet", marks=pytest.mark.slow),
    pytest.param("efficientnet_b3", "unet", marks=pytest.mark.slow),
    pytest.param("resnet50", "unet", marks=pytest.mark.slow),
    ("resnet18", "fpn"),
    ("smp:mobilenet_v2", "unetplusplus"),
]


#: Parameters of the paper's networks with one output.
MILLIONS = {
    ("efficientnet_b4", "unet"): 19.4, ("efficientnet_b4", "deeplabv3"): 21.0, ("efficientnet_b2", "unet"): 9.5,
    ("efficientnet_b3", "unet"): 12.6, ("resnet50", "unet"): 32.5,
}  # fmt: skip


def peer(encoder, decoder, channels):
    name = encoder.removeprefix("smp:") if encoder.startswith("smp:") else f"tu-{encoder}"
    return smp.create_model(decoder, name, None, classes=channels)


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def like_the_peer(network, models):
    """Copy the weights of smp's models, one a head, into a network; the first one's encoder is the shared one."""
    network.encoder.load_state_dict(next(iter(models.values())).encoder.state_dict())
    for head, model in models.items():
        network.decoders[head].load_state_dict(model.decoder.state_dict())
        network.heads[head].load_state_dict(model.segmentation_head.state_dict())


@pytest.mark.parametrize(("encoder", "decoder"), PAIRS)
def test_parameters_and_outputs_are_those_of_smp(encoder, decoder):
    torch.manual_seed(0)
    network = MultiHeadNetwork(encoder, decoder, {"depth": 1}, pretrained=False).eval()
    model = peer(encoder, decoder, 1).eval()
    assert parameters(network) == parameters(model)
    like_the_peer(network, {"depth": model})
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(network(image)["depth"], model(image))


def test_the_paper_s_networks_have_the_sizes_that_were_measured():
    with torch.device("meta"):
        millions = {
            (encoder, decoder): parameters(MultiHeadNetwork(encoder, decoder, {"depth": 1}, pretrained=False)) / 1e6
            for encoder, decoder in MILLIONS
        }
    assert {pair: round(count, 1) for pair, count in millions.items()} == MILLIONS


def test_a_second_head_is_a_second_decoder_on_the_same_encoder():
    torch.manual_seed(0)
    one = MultiHeadNetwork("resnet18", "unet", {"depth": 1}, pretrained=False)
    network = MultiHeadNetwork("resnet18", "unet", {"depth": 1, "semantics": 40}, pretrained=False).eval()
    assert parameters(network.decoders) == 2 * parameters(one.decoders)
    assert parameters(network.encoder) == parameters(one.encoder)
    models = {"depth": peer("resnet18", "unet", 1).eval(), "semantics": peer("resnet18", "unet", 40).eval()}
    models["semantics"].encoder = models["depth"].encoder
    like_the_peer(network, models)
    image = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        outputs = network(image)
        assert outputs.keys() == {"depth", "semantics"}
        assert all(torch.equal(outputs[head], model(image)) for head, model in models.items())


# --- the first convolution --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "encoder", ["resnet18", "efficientnet_b0", "convnext_atto", "smp:mit_b0", "tf_efficientnet_b0"]
)
def test_zeros_in_further_channels_change_nothing(encoder):
    torch.manual_seed(0)
    narrow = MultiHeadNetwork(encoder, "unet", {"depth": 1}, pretrained=False).eval()
    torch.manual_seed(0)
    wide = MultiHeadNetwork(encoder, "unet", {"depth": 1}, in_channels=8, pretrained=False).eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = narrow(image)["depth"]
        assert torch.allclose(wide(torch.cat([image, torch.zeros(1, 5, 64, 64)], 1))["depth"], expected, atol=1e-5)
        assert not torch.allclose(wide(torch.cat([image, torch.ones(1, 5, 64, 64)], 1))["depth"], expected, atol=1e-3)


def test_pretrained_slices_are_kept_and_new_ones_are_initialised_as_a_new_convolution():
    torch.manual_seed(0)
    trained = nn.Conv2d(3, 64, 7, stride=2, padding=3)
    with torch.no_grad():
        trained.weight.fill_(5.0)
    encoder = nn.Sequential(nn.Identity(), nn.Sequential(trained))
    widen_first_convolution(encoder, 43)
    wide = encoder[1][0]
    assert (wide.in_channels, wide.stride, wide.padding) == (43, (2, 2), (3, 3))
    assert (wide.weight[:, :3] == 5).all()
    assert torch.equal(wide.bias, trained.bias)
    bound = (43 * 49) ** -0.5  # Kaiming-uniform, as torch initialises convolutions
    new = wide.weight.detach()[:, 3:]
    assert new.abs().max() <= bound
    assert float(new.std()) == pytest.approx(bound / 3**0.5, rel=0.02)
    assert wide.weight.requires_grad


def test_what_cannot_be_widened_is_named():
    with pytest.raises(ValueError, match="no first convolution of 3 input channels"):
        widen_first_convolution(nn.Linear(3, 4), 5)
    with pytest.raises(ValueError, match="need 3 input channels or more, got 1"):
        widen_first_convolution(nn.Conv2d(3, 4, 1), 1)


# --- any encoder ------------------------------------------------------------------------------------------------------

TRAINS = {
    "resnet18": {}, "efficientnet_b0": {}, "convnext_atto": {}, "mobilenetv3_small_050": {}, "regnety_002": {},
    "pvt_v2_b0": {}, "smp:mit_b0": {}, "smp:resnet18": {},
    "swin_tiny_patch4_window7_224": {"encoder_options": {"img_size": 64, "window_size": 2, "depths": (1, 1, 1, 1)}},
    "vit_tiny_patch16_224": {
        "decoder": "dpt", "encoder_options": {"dynamic_img_size": True},
        "decoder_options": {"decoder_intermediate_channels": (8, 8, 8, 8), "decoder_fusion_channels": 8},
    },
}  # fmt: skip


@pytest.mark.parametrize("encoder", TRAINS)
def test_an_encoder_of_the_registry_trains_a_step(encoder):
    torch.manual_seed(0)
    options = {"decoder": "unet", **TRAINS[encoder]}
    network = MultiHeadNetwork(encoder, heads={"depth": 1, "semantics": 5}, in_channels=4, pretrained=False, **options)
    network.check_size(64, 64)
    assert len(network.mean) == len(network.std) == 3
    first = next(p for p in network.encoder.parameters() if p.ndim == 4 and p.shape[1] == 4)
    before = first.detach().clone()
    outputs = network(torch.randn(2, 4, 64, 64))
    assert {head: tuple(output.shape) for head, output in outputs.items()} == {
        "depth": (2, 1, 64, 64), "semantics": (2, 5, 64, 64),
    }  # fmt: skip
    sum(output.square().mean() for output in outputs.values()).backward()
    torch.optim.SGD(network.parameters(), lr=0.1).step()
    assert not torch.equal(first, before)  # the slope reaches the first convolution


@pytest.mark.parametrize(
    ("encoder", "decoder", "message"),
    [
        ("vit_tiny_patch16_224", "unet", "backbone `vit_tiny_patch16_224` with decoder `unet` does not fit"),
        (
            "fastvit_t8",
            "unet",
            "input of 64x64 pixels: backbone `fastvit_t8` with decoder `unet` does not fit: Given groups",
        ),
        ("swin_tiny_patch4_window7_224", "unet", r"does not fit: Input height \(64\) doesn't match model \(224\)"),
        ("swin_tiny_patch4_window7_224", "deeplabv3", "does not fit: .*output_stride"),
        ("smp:mobileone_s0", "unet", "backbone `smp:mobileone_s0` with decoder `unet` does not fit: "),
        ("resnet18+vit_tiny_patch16_224", "unet", r"is a hybrid, which .* has no decoders for; take a timm name or"),
        ("resnet81", "unet", "unknown backbone `resnet81`; did you mean resnet"),
        ("smp:resnet81", "unet", "unknown backbone `smp:resnet81`; did you mean "),
        ("resnet18", "u-net", "unknown decoder `u-net`; segmentation-models-pytorch has unet, "),
    ],
)
def test_what_does_not_fit_fails_at_once_in_a_line(encoder, decoder, message):
    with pytest.raises(ValueError, match=message) as raised:  # noqa: PT012  (either of both may find it)
        network = MultiHeadNetwork(encoder, decoder, {"depth": 1}, in_channels=4, pretrained=False)
        network.check_size(64, 64)
    assert "\n" not in str(raised.value)


def test_sizes_that_the_network_cannot_take_are_named():
    network = MultiHeadNetwork("resnet18", "unet", {"depth": 1}, pretrained=False)
    with pytest.raises(ValueError, match=r"input of 64x80 pixels: .* needs multiples of 32; change `data\."):
        network.check_size(64, 80)
    statistics = network.encoder.model.bn1.running_mean.clone()
    network.check_size(64, 96)
    assert network.training
    assert torch.equal(network.encoder.model.bn1.running_mean, statistics)  # looking leaves no trace


def test_weights_that_cannot_be_had_are_one_line(monkeypatch):
    from lightning_modules.backbones import PretrainedUnavailableError
    from lightning_modules.networks.semantic_md import multi_head

    real = smp.create_model

    def without_network(arch, encoder_name, encoder_weights, **options):
        if encoder_weights:
            raise OSError("no route to host")
        return real(arch, encoder_name, encoder_weights, **options)

    monkeypatch.setattr(multi_head.smp, "create_model", without_network)
    with pytest.raises(
        PretrainedUnavailableError, match=r"pretrained weights of `resnet18` are unavailable.*pretrained false"
    ):
        MultiHeadNetwork("resnet18", "unet", {"depth": 1})
