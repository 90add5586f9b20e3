"""The training loader goes on in the middle of an epoch, and gives the same batches however it is run."""

import pytest
import torch
from torch.utils.data import Dataset

from datamodules.loading.samplers import TrainSampler
from datamodules.loading.train_loader import TrainLoader


class Frames(Dataset):
    """Remembers what was read; gives its key and a random number of the worker's own generator."""

    def __init__(self, length=11):
        self.length = length
        self.read = []

    def __len__(self):
        return self.length

    def __getitem__(self, key):
        self.read.append(key)
        return torch.tensor(key), torch.rand(())


def make(workers=0, rank=0, seed=0, batch_size=2, frames=11, processes=1):
    sampler = TrainSampler(Frames(frames), seed=seed, num_replicas=processes, rank=rank)
    return TrainLoader(
        sampler=sampler, batch_size=batch_size, num_workers=workers, drop_last=True, persistent_workers=workers > 0
    )


def batches(loader, epoch):
    loader.sampler.set_epoch(epoch)
    return [keys.tolist() for keys, _ in loader]


@pytest.mark.parametrize("workers", [0, 2])
def test_goes_on_after_what_was_handed_out(workers):
    loader = make(workers)
    whole = [batches(make(), epoch) for epoch in (3, 4)]
    loader.sampler.set_epoch(3)
    passing = iter(loader)
    assert [next(passing)[0].tolist() for _ in range(2)] == whole[0][:2]
    state = loader.state_dict()  # workers have prefetched more than two
    assert (state["epoch"], state["batches"]) == (3, 2)

    resumed = make(workers)
    resumed.load_state_dict(state)
    assert [keys.tolist() for keys, _ in resumed] == whole[0][2:]
    assert resumed.state_dict()["batches"] == 5
    assert batches(resumed, 4) == whole[1]  # the next epoch is whole


def test_no_frame_of_before_is_read():
    loader = make()
    loader.load_state_dict({**loader.state_dict(), "batches": 4})
    (last,) = [keys.tolist() for keys, _ in loader]
    assert [list(key) for key in loader.dataset.read] == last


def test_an_epoch_that_is_over_is_not_begun_again():
    loader = make()
    state = {**loader.state_dict(), "epoch": 6, "batches": 5}
    loader.load_state_dict(state)
    assert loader.sampler.epoch == 7
    assert len(list(loader)) == 5


@pytest.mark.parametrize(
    ("options", "words"),
    [({"batch_size": 3}, "batch size 2, now 3"), ({"frames": 12}, "frames 11, now 12"),
     ({"processes": 2}, "processes 1, now 2")],
)  # fmt: skip
def test_other_batches_cannot_go_on_within_an_epoch(options, words):
    state = {**make().state_dict(), "batches": 1}
    with pytest.raises(ValueError, match=words):
        make(**options).load_state_dict(state)
    make(**options).load_state_dict({**state, "batches": 0})  # between epochs they can


def test_workers_draw_other_numbers_by_seed_epoch_rank_and_worker_and_always_the_same():
    def numbers(**options):
        loader = make(workers=2, **options)
        return [draw.tolist() for _, draw in loader]

    first = numbers()
    assert numbers() == first
    assert len({draw for batch in first for draw in batch}) == 10  # two workers, five batches: none alike
    for options in ({"seed": 1}, {"rank": 1, "processes": 2}):
        assert not {d for batch in numbers(**options) for d in batch} & {d for batch in first for d in batch}


@pytest.mark.parametrize("workers", [0, 2])
def test_starting_draws_nothing_from_the_global_generator(workers):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    iter(make(workers))
    assert torch.equal(torch.get_rng_state(), before)
