"""What the logger of runs needs of W&B's logger in Lightning that is not public: every use is here, with its reason.

``tests/callbacks/test_wandb_internals.py`` fails, and names the versions, when one of them has changed.
"""

from typing import Any

from lightning.pytorch.loggers import WandbLogger


class OpenWandbLogger(WandbLogger):
    """Lightning's W&B logger, whose run can be resumed, moved offline and opened by a subclass.

    Args:
        offline: keep the run on disk.
        **options: of :class:`WandbLogger` and of ``wandb.init``.
    """

    def __init__(self, *, offline: bool, **options: Any):
        super().__init__(offline=offline, mode="offline" if offline else "online", **options)
        self.init_arguments.pop("anonymous", None)  # Lightning sets it, and W&B warns that it has no effect

    @property
    def init_arguments(self) -> dict[str, Any]:
        """Return the arguments of ``wandb.init``; id, job type and tags are set late, before the run is open."""
        return self._wandb_init

    @property
    def offline(self) -> bool:
        """Return whether the run is kept on disk."""
        return self._offline

    def go_offline(self) -> None:
        """Keep the run on disk from now on; W&B is found not to answer only when the run is opened."""
        self._offline = True
        self.init_arguments["mode"] = "offline"

    @property
    def opened(self) -> Any:
        """Return W&B's run, None before :meth:`open_run`; ``experiment`` itself would open it."""
        return self._experiment

    def open_run(self, run_id: str) -> Any:
        """Open W&B's run of this id, a new or an earlier one, as Lightning does, and return it."""
        self.init_arguments["id"] = self._id = run_id
        return WandbLogger.experiment.fget(self)  # type: ignore[attr-defined]  # a subclass overrides the property
