"""The benchmark of guided MTI-Net's cost: what it builds, and that it prints."""

import pytest

from benchmarks.cost.mti_net_cost import attention_memory, main, networks


def test_the_three_networks_are_the_one_without_the_others():
    models = networks("resnet10t")
    assert list(models) == ["multi-task", "depth alone", "semantics alone", "edges alone"]
    assert list(models["multi-task"].guidance) == ["semantics", "edges"]
    everything, *single = ({name for name, _ in model.named_parameters()} for model in models.values())
    assert all(names < everything for names in single)
    assert not any("heads" in name for name in everything)  # initial predictions only train


def test_the_fused_kernel_holds_no_scores():
    """32x32 positions: 4 MiB of scores, of which a plain implementation holds several copies."""
    *_, queries, scores, fused, plain = attention_memory(128, 4, 1, 1, "cpu")
    assert queries == "1,024 x 1,024"
    assert float(scores) == 4
    assert float(fused) < float(plain) - 2 * float(scores)


@pytest.mark.slow
def test_it_prints_its_tables(capsys):
    main(["--quick", "--backbone", "resnet10t", "--device", "cpu"])
    output = capsys.readouterr().out
    for row in ("parameters, millions", "GFLOPs, forward", "forward, ms of CPU time", "1,024 x 256"):
        assert row in output
