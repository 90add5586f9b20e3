import pytest
from torch.utils.data import SequentialSampler

from datamodules.loading.samplers import EvalSampler, OverfitSampler, TrainSampler

SIZES = [(n, world) for n in (1, 2, 5, 7, 16, 17) for world in (1, 2, 3, 4)]


@pytest.mark.parametrize(("n", "world"), SIZES)
def test_evaluation_sees_every_frame_exactly_once(n, world):
    samplers = [EvalSampler(range(n), num_replicas=world, rank=rank) for rank in range(world)]
    assert sorted(i for sampler in samplers for i in sampler) == list(range(n))
    assert [len(list(s)) for s in samplers] == [len(s) for s in samplers]
    assert list(samplers[0]) == list(range(0, n, world))


@pytest.mark.parametrize(("n", "world"), SIZES)
def test_training_takes_as_many_steps_everywhere(n, world):
    samplers = [TrainSampler(range(n), num_replicas=world, rank=rank, seed=1) for rank in range(world)]
    for sampler in samplers:
        sampler.set_epoch(3)
    drawn = [list(sampler) for sampler in samplers]
    assert len({len(part) for part in drawn}) == 1
    assert {epoch for part in drawn for _, epoch in part} == {3}
    positions = [position for part in drawn for position, _ in part]
    assert len(set(positions)) == min(n, len(positions))  # no frame twice while another waits


def test_order_depends_on_seed_and_epoch_alone():
    def order(seed, epoch):
        sampler = TrainSampler(range(50), seed=seed)
        sampler.set_epoch(epoch)
        return [position for position, _ in sampler]

    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9
    assert sorted(order(0, 0)) == list(range(50))


def test_overfitting_sees_the_same_frames_in_every_epoch():
    sampler = OverfitSampler(range(5), seed=3)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        assert list(sampler) == [(position, epoch) for position in range(5)]
    assert isinstance(sampler, SequentialSampler)  # else Lightning puts one of its own in its place
    assert isinstance(EvalSampler(range(5)), SequentialSampler)
