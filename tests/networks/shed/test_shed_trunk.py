"""What must hold of the trunk as a whole, whatever its weights."""

import itertools

import pytest
import torch
from timm.models.vision_transformer import Block

from lightning_modules.networks.shed import SHEDTrunk
from lightning_modules.networks.shed.cells import spread
from lightning_modules.networks.shed.options import SHEDOptions

DIM, SEGMENTS, SIZE, GRID, N = 16, (12, 6, 3), (32, 48), (8, 12), 24  # n_0 = (32 // 8) (48 // 8)
READINGS = [
    {},
    {"s0": "area"},
    {"pool_mlp": "paper"},
    {"similarity": "tokens"},
    {"unpool_mlp": "residual"},
    {"cls": "fresh_per_level"},
    {"skip": "pre_block"},
    {"pad_tokens": "cast"},
    {"base_blocks": 1},
    {"segments": (6,)},
    {"unpool": "hard"},
    {"assignment": "own"},
    {"assignment": "own", "unpool": "soft", "base_blocks": 1},
    {"reverse": False},
    {"reverse": False, "base_blocks": 1},
    {"projection_stride": 8},
]


def make_trunk(**options):
    torch.manual_seed(0)
    options = SHEDOptions(**({"segments": SEGMENTS, "blocks_per_stage": 1, "superpixel_size": 8} | options))
    count = (1 + options.reverse) * options.levels * options.blocks_per_stage + options.base_blocks
    blocks = torch.nn.ModuleList(Block(DIM, 2, qkv_bias=True) for _ in range(count))
    trunk = SHEDTrunk(blocks, DIM, options, heads=4).double().eval()
    for half in (trunk.encoder, trunk.decoder):
        cls_tokens = getattr(half, "cls_tokens", None)
        if cls_tokens is not None:
            torch.nn.init.normal_(cls_tokens)
    return trunk


def make_input(batch=2, seed=0, n=N):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(batch, DIM, *GRID, dtype=torch.float64, generator=generator)
    # a random tessellation: every pixel to the nearest of n random sites
    sites = torch.rand(batch, n, 2, generator=generator) * torch.tensor(SIZE)
    pixels = torch.cartesian_prod(*(torch.arange(side).float() for side in SIZE))
    return features, torch.cdist(pixels.expand(batch, -1, -1), sites).argmin(2).view(batch, *SIZE)


def maps(output):
    return [output.spread(level) for level in output.levels]


def assert_same(actual, expected, atol=1e-9):
    torch.testing.assert_close(actual, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("options", READINGS, ids=str)
def test_shapes_and_finite_gradients_of_every_reading(options):
    trunk = make_trunk(**options)
    features, superpixels = make_input()
    output = trunk(features.requires_grad_(), superpixels)
    sizes = (N, *options.get("segments", SEGMENTS))
    assert [p.shape for p in output.assignments] == [(2, n, k) for n, k in itertools.pairwise(sizes)]
    assert [level.shape for level in output.levels] == [(2, N, DIM)] * len(sizes)
    stride = options.get("projection_stride")
    grid = GRID if stride is None else (SIZE[0] // stride, SIZE[1] // stride)
    assert [m.shape for m in maps(output)] == [(2, DIM, *grid)] * len(sizes)
    assert output.embedding.shape == (2, DIM)
    assert output.pad.shape == (2, N)
    torch.stack(maps(output)).square().sum().backward()
    for name, parameter in trunk.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("s0", ["nearest", "area"])
def test_gradient_reaches_every_cell_from_every_level_and_the_class_token(s0):
    features, superpixels = make_input(batch=1)
    output = make_trunk(s0=s0)(features.requires_grad_(), superpixels)
    for value in (*output.levels, output.embedding):
        probe = torch.randn(value.shape, dtype=value.dtype, generator=torch.Generator().manual_seed(1))
        (gradient,) = torch.autograd.grad((value * probe).sum(), features, retain_graph=True)
        assert (gradient.abs().sum(1) > 0).all()


@pytest.mark.parametrize("s0", ["nearest", "area"])
def test_permuting_superpixel_ids_permutes_tokens_only(s0):
    trunk = make_trunk(s0=s0)
    features, superpixels = make_input()
    order = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    output, permuted = trunk(features, superpixels), trunk(features, order[superpixels])
    for level, other in zip(output.levels, permuted.levels, strict=True):
        assert_same(other[:, order], level)
    assert_same(permuted.assignments[0][:, order], output.assignments[0])
    assert_same(permuted.assignments[1], output.assignments[1])
    assert_same(maps(permuted), maps(output))
    assert_same(permuted.embedding, output.embedding)
    for segments, other in zip(
        output.segments(superpixels)[1:], permuted.segments(order[superpixels])[1:], strict=True
    ):
        assert torch.equal(segments, other)


@pytest.mark.parametrize("n", [N - 9, 5, 1], ids=["some empty", "fewer than segments", "one superpixel"])
@pytest.mark.parametrize("s0", ["nearest", "area"])
def test_empty_superpixels_change_nothing(s0, n):
    features, superpixels = make_input(batch=1, n=n)
    few, many = make_trunk(s0=s0), make_trunk(s0=s0, superpixel_size=4)  # 24 ids, and 96 of which the rest are empty
    output, padded = few(features, superpixels), many(features, superpixels)
    assert padded.levels[0].shape[1] == 4 * N
    assert_same(maps(padded), maps(output))
    assert_same(padded.embedding, output.embedding)
    assert all(torch.isfinite(m).all() for m in maps(output))
    for segments, other in zip(output.segments(superpixels), padded.segments(superpixels), strict=True):
        assert torch.equal(segments, other)


def test_an_image_gives_the_same_alone_and_in_a_batch():
    trunk = make_trunk()
    features, superpixels = make_input(batch=4)
    superpixels[1] %= 9  # many empty ids
    superpixels[2] = 3  # one superpixel
    together = trunk(features, superpixels)
    assert together.pad.sum(1).tolist()[1:3] == [N - 9, N - 1]
    for b in range(4):
        alone = trunk(features[b : b + 1], superpixels[b : b + 1])
        assert_same([p[b : b + 1] for p in together.assignments], alone.assignments)
        assert_same([m[b : b + 1] for m in maps(together)], maps(alone))
        assert_same(together.embedding[b : b + 1], alone.embedding)


def test_a_map_is_constant_inside_a_superpixel():
    features, superpixels = make_input()
    output = make_trunk()(features, superpixels)
    for image, cells in zip(output.spread(output.levels[2]).flatten(2), output.cells, strict=True):
        for label in cells.unique():
            assert image[:, cells == label].unique(dim=1).shape[1] == 1


def test_positions_enter_the_tokens():
    features, superpixels = make_input(batch=1)
    output = make_trunk()(torch.zeros_like(features), superpixels)
    assert output.levels[0].std(1).min() > 0


@pytest.mark.parametrize("map_levels", [(1, 2, 3), (0, 1, 2), (3,)])
def test_map_levels_choose_among_all(map_levels):
    features, superpixels = make_input()
    everything = make_trunk()(features, superpixels)
    assert_same(
        make_trunk(map_levels=map_levels)(features, superpixels).levels, [everything.levels[i] for i in map_levels]
    )


def test_readings_differ():
    features, superpixels = make_input(n=12)
    default = make_trunk()(features, superpixels)
    for options in READINGS[1:7]:
        other = make_trunk(**options)(features, superpixels)
        assert (other.levels[0] - default.levels[0]).abs().max() > 1e-6, options


def test_bfloat16_autocast_is_finite_and_rows_sum_to_one():
    trunk = make_trunk().float()
    features, superpixels = make_input()
    features = features.float().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = trunk(features, superpixels)
        torch.stack(maps(output)).float().square().mean().backward()
    for assignment in output.assignments:
        assert_same(assignment.sum(2), torch.ones(assignment.shape[:2]), atol=1e-6)
    assert features.grad is not None
    assert features.grad.isfinite().all()
    for value in (*maps(output), output.embedding):
        assert value.isfinite().all()


def test_blocks_are_split_in_half_in_order():
    blocks = torch.nn.ModuleList(Block(DIM, 2) for _ in range(12))
    trunk = SHEDTrunk(blocks, DIM, SHEDOptions(), heads=4)
    kept = [block for half in (trunk.encoder, trunk.decoder) for stage in half.stages for block in stage.blocks]
    assert [len(stage.blocks) for stage in trunk.encoder.stages] == [2, 2, 2]
    assert all(a is b for a, b in zip(kept, blocks, strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 10}, r"10 ViT blocks given, 12 needed: 2 x 3 levels x 2 `blocks_per_stage` \+ 0 `base_blocks`"),
        ({"base_blocks": 2}, "12 ViT blocks given, 14 needed"),
        ({"segments": (6, 12, 3)}, "`segments` is .* positive and decreasing"),
        ({"segments": ()}, "`segments` is .* positive and decreasing"),
        ({"map_levels": (0, 4)}, r"`map_levels` is \[0, 4\]; choose some of \[0, 1, 2, 3\]"),
        ({"dim": 18}, "`dim` is 18.*multiple of 4"),
        ({"heads": 5}, "`heads` is 5, which does not divide the token width 16"),
    ],
)
def test_wrong_options_are_refused(options, message):
    blocks = [torch.nn.Identity() for _ in range(options.pop("count", 12))]
    dim, heads = options.pop("dim", DIM), options.pop("heads", 4)
    with pytest.raises(ValueError, match=message):
        SHEDTrunk(blocks, dim, SHEDOptions(**{"blocks_per_stage": 2} | options), heads=heads)


@pytest.mark.parametrize(
    "name",
    ["depth_param", "s0", "pool_mlp", "similarity", "pad_tokens", "cls", "cls_token", "skip", "unpool_mlp",
     "level_fusion", "readout", "map_fusion", "unpool", "assignment", "spatial_reduction"],
)  # fmt: skip
def test_unknown_names_are_refused(name):
    with pytest.raises(ValueError, match=f"`{name}` is 'none such'; choose one of "):
        SHEDOptions(**{name: "none such"})


def test_options_that_do_not_go_together_are_refused():
    with pytest.raises(ValueError, match="`level_fusion` is tokens: set it to maps"):
        SHEDOptions(level_fusion="tokens", spatial_reduction="dpt")
    with pytest.raises(ValueError, match="`assignment: own` learns through soft unpooling only"):
        SHEDOptions(assignment="own", unpool="hard")
    with pytest.raises(ValueError, match="`projection_stride` is 2"):
        SHEDOptions(projection_stride=2)


def test_an_image_too_small_for_its_segments_is_refused():
    features, superpixels = make_input()
    with pytest.raises(ValueError, match="12 segments cannot be seeded from 6 tokens"):
        make_trunk(superpixel_size=16)(features, superpixels % 6)


def test_blocks_are_shared_evenly_by_whatever_stages_there_are():
    for segments, options, per_stage in (
        (SEGMENTS, {}, 2), ((12, 6), {}, 3), ((6,), {}, 6), (SEGMENTS, {"reverse": False}, 4),
        ((12, 6, 3, 2), {"base_blocks": 4}, 1),
    ):  # fmt: skip
        blocks = [torch.nn.Identity() for _ in range(12)]
        trunk = SHEDTrunk(blocks, DIM, SHEDOptions(segments=segments, **options), heads=4)
        assert {len(stage.blocks) for stage in trunk.encoder.stages} == {per_stage}
    with pytest.raises(ValueError, match="12 ViT blocks cannot be shared evenly by 8 stages after 0 `base_blocks`"):
        SHEDTrunk(blocks, DIM, SHEDOptions(segments=(12, 6, 3, 2)), heads=4)


def record_unpooling(trunk):
    """Arguments of each unpooling of the next pass, coarse to fine."""
    calls = []
    for unpooling in trunk.decoder.unpoolings:
        unpooling.register_forward_hook(lambda _, inputs, output: calls.append(inputs))
    return calls


def test_hard_unpooling_gives_each_token_its_segment_s_and_nothing_else():
    trunk = make_trunk(unpool="hard")
    calls = record_unpooling(trunk)
    output = trunk(*make_input())
    for (_, assignment, _), found in zip(calls, reversed(output.assignments), strict=True):
        assert torch.equal(assignment.sum(2), torch.ones_like(assignment[..., 0]))
        assert torch.equal(assignment.argmax(2), found.argmax(2))
        assert not assignment.requires_grad
    # all superpixels of one coarse segment share its token
    parents = output.segments(torch.arange(N).expand(2, 1, N))[-1][:, 0]
    for tokens, ids in zip(output.levels[-1], parents, strict=True):
        for segment in ids.unique():
            assert_same(tokens[ids == segment], tokens[ids == segment][:1].expand(int((ids == segment).sum()), -1))
    assert (output.assignments[0].detach() < 0.9).any()  # the soft ones stay soft for pooling


def test_shared_unpooling_uses_the_encoder_s_assignments():
    trunk = make_trunk()
    calls = record_unpooling(trunk)
    output = trunk(*make_input())
    for (_, assignment, _), found in zip(calls, reversed(output.assignments), strict=True):
        assert assignment is found


def test_own_assignments_are_cosines_of_the_decoder_s_tokens():
    trunk = make_trunk(assignment="own")
    calls = record_unpooling(trunk)
    output = trunk(*make_input())
    own = []
    for module, (coarse, assignment, fine) in zip(trunk.decoder.own, calls, strict=True):
        a, b = module.fine(fine), module.coarse(coarse)
        cosine = (a @ b.mT) / (a.norm(dim=2)[..., None] * b.norm(dim=2)[:, None])
        assert_same(assignment, (5 * cosine).exp() / (5 * cosine).exp().sum(2, keepdim=True))
        own.insert(0, assignment)
    assert all((a - b).abs().max() > 1e-3 for a, b in zip(own, output.assignments, strict=True))
    # and they, not the encoder's, spread the coarse tokens over the superpixels
    (coarsest, *_) = calls[0]
    assert_same(output.levels[-1], own[0] @ (own[1] @ (own[2] @ coarsest)))


def test_without_the_reverse_hierarchy_the_encoder_s_tokens_are_mapped():
    trunk = make_trunk(reverse=False)
    assert trunk.decoder is None
    found = {}
    trunk.encoder.register_forward_hook(lambda _, inputs, output: found.update(encoded=output))
    output = trunk(*make_input())
    encoded = found["encoded"]
    p1, p2, p3 = encoded.assignments
    e0, e1, e2 = encoded.skips
    for actual, expected in zip(output.levels, (e0, p1 @ e1, p1 @ p2 @ e2, p1 @ p2 @ p3 @ encoded.tokens), strict=True):
        assert_same(actual, expected)
    assert_same(output.embedding, encoded.cls[:, 0])


def test_reduced_maps_halve_from_level_to_level_and_show_the_same_tokens():
    features, superpixels = make_input()
    output = make_trunk(spatial_reduction="dpt")(features, superpixels)
    reduced = [spread(tokens, *output.level_cells(level)) for level, tokens in enumerate(output.levels)]
    assert [m.shape[2:] for m in reduced] == [(8, 12), (4, 6), (2, 3), (1, 2)]
    for whole, map_, level in zip(maps(output), reduced, range(4), strict=True):
        # a reduced cell shows the superpixel of its first pixel, as a finer one does
        if level < 3:
            assert_same(map_, whole[:, :, :: 2**level, :: 2**level])


@pytest.mark.parametrize("options", [{}, {"assignment": "own"}, {"cls": "fresh_per_level"}], ids=str)
@pytest.mark.parametrize("map_levels", [(1, 2, 3), (2,), (0,)])
def test_what_no_map_shows_is_frozen_and_all_else_learns(map_levels, options):
    trunk = make_trunk(map_levels=map_levels, **options)
    output = trunk(*make_input())
    torch.stack(maps(output)).square().sum().backward()
    frozen = {name for name, p in trunk.named_parameters() if not p.requires_grad}
    assert {name for name, p in trunk.named_parameters() if p.grad is None} == frozen
    unused = len([level for level in range(3) if level < min(map_levels)])
    of_a_step = [
        name for name in dict(trunk.decoder.named_parameters()) if name.startswith(("stages.2", "unpoolings.2"))
    ]
    of_a_step += [name for name in dict(trunk.decoder.named_parameters()) if name.startswith("own.2")]
    assert len(frozen) == unused * len(of_a_step)
    assert output.embedding.abs().sum() > 0  # still the descriptor


def test_class_tokens_begin_where_they_are_told():
    start = torch.arange(DIM, dtype=torch.float32)
    for cls, count in (("propagate", 1), ("fresh_per_level", 3)):
        blocks = [Block(DIM, 2, qkv_bias=True) for _ in range(6)]
        trunk = SHEDTrunk(blocks, DIM, SHEDOptions(segments=SEGMENTS, cls=cls), heads=4, cls_start=start)
        assert torch.equal(trunk.encoder.cls_tokens, start.expand(count, 1, DIM))
        if cls == "fresh_per_level":
            assert torch.equal(trunk.decoder.cls_tokens, start.expand(3, 1, DIM))
            assert trunk.decoder.cls_tokens.requires_grad
