"""A trained method as a folder that huggingface_hub reads and uploads: weights, configuration and model card."""

import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, PyTorchModelHubMixin
from huggingface_hub.constants import CONFIG_NAME, SAFETENSORS_SINGLE_FILE
from torch import nn

from experiments.config.compose import Composition
from experiments.config.error import ConfigError
from experiments.export.finished_model import build_parts

CARD = Path(__file__).with_name("model_card.md").read_text(encoding="utf-8")


class ReleasedModel(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="segdepth",
    pipeline_tag="depth-estimation",
    tags=["monocular-depth-estimation"],
    model_card_template=CARD,
):
    """A method with its weights, and all that is needed to show it images.

    ``save_pretrained(folder)`` writes ``model.safetensors``, ``config.json`` and a model card, ``push_to_hub(name)``
    uploads them. :func:`~experiments.inference.predictor.load` makes it infer.

    Args:
        configuration: sections ``model``, ``data`` and ``precision`` of the run's configuration.
        record: of the run: ``source`` names its weights, ``stage`` the stage of a method that is trained in stages,
            ``training_camera`` and ``data`` say what inference reads of ``environment.json``, ``card`` is said on the
            model card.

    Attributes:
        model: the method.
        data: the data that it was trained on, as configured; no file of them is opened.

    Raises:
        ConfigError: if the configuration cannot be used, in one line.
    """

    def __init__(self, *, configuration: dict[str, Any], record: dict[str, Any]):
        super().__init__()
        self.configuration, self.record = configuration, record
        sections = {key: configuration[key] for key in ("model", "data")}
        self.model, self.data = build_parts(Composition(sections, profile="", experiment=""))
        if record.get("stage"):
            self.model.on_load_checkpoint({"stage": record["stage"]})

    @classmethod
    def from_pretrained(cls, name: str | Path, **options: Any) -> "ReleasedModel":  # type: ignore[override]
        """Return a released model.

        Args:
            name: folder that holds one, or its name on the hub, from which it is then fetched.
            options: see :meth:`huggingface_hub.ModelHubMixin.from_pretrained`.

        Raises:
            ConfigError: if it is none, or it is damaged, in one line.
        """
        try:
            with redirect_stdout(io.StringIO()):  # "Loading weights from local directory"
                return super().from_pretrained(name, **{"strict": True, **options})
        except ConfigError:
            raise
        except Exception as error:  # of JSON, safetensors, torch, or one of the hub's many
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
            raise ConfigError(
                f"{name}: no released model, or a damaged one ({reason}); fetch or export it again"
            ) from error

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """Return the card: what the model was trained on, its protocol and its metrics; the licence is the user's."""
        return super().generate_model_card(*args, **{**self.record["card"], **kwargs})


def is_released(folder: Path) -> bool:
    """Return whether a folder holds a released model."""
    return all((folder / name).is_file() for name in (CONFIG_NAME, SAFETENSORS_SINGLE_FILE))
