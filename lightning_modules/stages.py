"""Training in stages: what is trained when, and the base class of methods that are trained so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Self, TypeVar

from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import OptimizerLRScheduler

from lightning_modules.depth_module import DepthModule
from lightning_modules.training.optimization import optimizer_and_schedule
from lightning_modules.training.schedules import Schedule


@dataclass(frozen=True)
class Stage:
    """A stage of a training: which parts of the network learn, for how long, and how.

    A method subclasses it to add what else differs from stage to stage.

    Attributes:
        name: of the stage, and of its checkpoint ``stage_<n>_<name>.ckpt``.
        epochs: how long it lasts; with 0 nothing is trained, and the stage only says how the method works then.
        trains: parts of the network (its direct children) that are trained; the others are frozen.
        optimizer: builds the stage's optimizer, fresh, from the trained parameters; None takes the method's.
        schedule: learning rate over the stage's own steps; None takes the method's.
        init_from: run folder (its ``best.ckpt``) or checkpoint of which the parts in ``trains`` take the weights when
            the stage begins.
        frozen_eval: frozen parts are in evaluation mode: batch normalisation uses its running statistics, which stay
            as they are. If false, it uses the batch's statistics and updates the running ones.

    Raises:
        ValueError: if ``epochs`` is negative, or positive where ``trains`` is empty.
    """

    name: str
    epochs: int
    trains: tuple[str, ...] = ()
    optimizer: OptimizerCallable | None = None
    schedule: Schedule | None = None
    init_from: str | None = None
    frozen_eval: bool = True

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise ValueError(f"stage `{self.name}`: `epochs` must be at least 0, is {self.epochs}")
        if self.epochs and not self.trains:
            raise ValueError(f"stage `{self.name}`: {self.epochs} epochs, but `trains` names no part of the network")


S = TypeVar("S", bound=Stage)


def resolve_stages(stages: Sequence[S], epochs: Mapping[str, int], taken: Mapping[str, str]) -> tuple[S, ...]:
    """Return the stages as they are run, with other lengths, and without those whose result is taken from elsewhere.

    Args:
        stages: as the experiment lists them.
        epochs: other lengths for some of them, by name.
        taken: stages that are not trained, by name, and the run folder or checkpoint that has their result; earlier
            stages that train nothing but the parts that are then overwritten are left out.

    Raises:
        ValueError: if there are none, two have one name, or a name is unknown.
    """
    names = [stage.name for stage in stages]
    if not names:
        raise ValueError("`model.init_args.stages` must list at least one stage")
    if len(set(names)) < len(names):
        raise ValueError(f"`model.init_args.stages`: two stages are called `{max(names, key=names.count)}`")
    for key, given in (("stage_epochs", epochs), ("stage_from", taken)):
        if unknown := set(given) - set(names):
            raise ValueError(f"`model.init_args.{key}`: no stage `{min(unknown)}`; stages: {', '.join(names)}")
    resolved: list[S] = []
    for stage in stages:
        stage = replace(stage, epochs=epochs.get(stage.name, stage.epochs))
        if stage.name in taken:
            resolved = [earlier for earlier in resolved if not set(earlier.trains) <= set(stage.trains)]
            stage = replace(stage, epochs=0, init_from=taken[stage.name])
        resolved.append(stage)
    return tuple(resolved)


class StagedModule(DepthModule, Generic[S]):
    """A method that is trained in stages, which :class:`callbacks.StagedTraining` goes through.

    The callback enters one stage after the other (:meth:`enter_stage`) and renews optimizer and schedule for each. Its
    number is in every checkpoint: a training is resumed in its stage, and outside training the method works as in the
    stage of the checkpoint that was loaded, by default the last.

    Args:
        stages: resolved, see :func:`resolve_stages`.
        kwargs: see :class:`DepthModule`.

    Attributes:
        stages: what is trained when.
        stage_number: position of the present one.
    """

    def __init__(self, *, stages: tuple[S, ...], **kwargs: Any):
        super().__init__(**kwargs)
        self.stages = stages
        self.stage_number = len(stages) - 1

    @property
    def stage(self) -> S:
        """Return the present stage."""
        return self.stages[self.stage_number]

    def check_stages(self) -> None:
        """Check, once the network is there, that it has the parts that the stages name.

        Raises:
            ValueError: if it does not, naming the stage.
        """
        parts = [name for name, _ in self.network.named_children()]
        for stage in self.stages:
            if unknown := set(stage.trains) - set(parts):
                raise ValueError(
                    f"stage `{stage.name}`: `trains` {min(unknown)}, no part of the network: {', '.join(parts)}"
                )

    def enter_stage(self, number: int) -> None:
        """Make a stage, by its position, the present one: freeze what it does not train, and drop its gradients."""
        self.stage_number = number
        for name, part in self.network.named_children():
            part.requires_grad_(name in self.stage.trains)
            if name not in self.stage.trains:
                part.zero_grad(set_to_none=True)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set training or evaluation mode; frozen parts stay in evaluation mode where the stage says so."""
        super().train(mode)
        if mode and self.stage.frozen_eval:
            for name, part in self.network.named_children():
                if name not in self.stage.trains:
                    part.eval()
        return self

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimizer of the trained parameters, and the schedule over the stage's own steps.

        Returns:
            Both, as Lightning takes them; None where the stage trains nothing.

        Raises:
            ValueError: as :func:`~lightning_modules.training.optimization.optimizer_and_schedule`.
        """
        stage = self.stage
        if not any(parameter.requires_grad for parameter in self.parameters()):
            return None
        epochs = max(sum(stage.epochs for stage in self.stages), 1)
        return optimizer_and_schedule(
            self.named_parameters(),
            stage.optimizer or self.optimizer,
            stage.schedule or self.schedule,
            lr_scale=self.lr_scale,
            steps=self.trainer.estimated_stepping_batches * stage.epochs / epochs,
            trained_only=True,
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the name of the stage, besides what the base class stores."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["stage"] = self.stage.name

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Enter the stage of the checkpoint.

        Raises:
            ValueError: if training would be resumed in a stage that this configuration does not have.
        """
        names = [stage.name for stage in self.stages]
        name = checkpoint.get("stage")
        if name in names:
            self.enter_stage(names.index(name))
        elif self.trainer.state.fn == TrainerFn.FITTING:
            raise ValueError(
                f"the checkpoint is of stage `{name}`, which `model.init_args.stages` does not have "
                f"({', '.join(names)}); resume with the configuration that it was trained with"
            )
