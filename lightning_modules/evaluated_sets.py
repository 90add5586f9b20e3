"""Which protocol and which metrics each test set of a run has."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import nn

from lightning_modules.depth_data import DepthData
from lightning_modules.evaluation import Evaluation, EvaluationOptions
from lightning_modules.metrics import EvalProtocol


def protocols_by_name(
    sets: Sequence[DepthData], own: EvalProtocol, further: Sequence[EvalProtocol] | None
) -> dict[str, EvalProtocol]:
    """Return the protocol of each test set, in their order; a variant has that of the set whose frames it shows.

    Args:
        sets: the test sets: the run's own, further ones, then variants.
        own: protocol of the run's own data.
        further: protocols of the further sets, in order; None takes ``own`` for all.

    Raises:
        ValueError: if ``further`` are not as many as there are further sets.
    """
    plain = [data.name for data in sets if data.variant is None]
    extra = len(plain) - 1
    further = [own] * extra if further is None else further
    if len(further) != extra:
        raise ValueError(
            f"`model.init_args.test_protocols` has {len(further)} entries, `data.init_args.extra_tests` {extra}: "
            "name a protocol for each, or leave the protocols out; `tests: [data/...]` in a YAML sets both"
        )
    of_set = dict(zip(plain, [own, *further], strict=True))
    chosen = ((data, of_set[data.set_name if data.variant else data.name]) for data in sets)
    return {data.name: replace(protocol, radial=protocol.radial or data.radial) for data, protocol in chosen}


def make_evaluations(
    sets: Sequence[DepthData], protocols: Mapping[str, EvalProtocol], options: EvaluationOptions
) -> nn.ModuleDict:
    """Build the metrics of each test set, under the key ``test/<name>``; a variant has only the groups that it names.

    Args:
        sets: the test sets.
        protocols: the protocol of each set, by the set's name.
        options: what the run measures.
    """
    return nn.ModuleDict(
        {
            f"test/{data.name}": Evaluation(
                protocols[data.name],
                options.restricted(data.variant.groups if data.variant else None),
                data.provides,
                data.classes,
            )
            for data in sets
        }
    )
