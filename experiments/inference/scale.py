"""What is known of the metres that a network predicts: for which camera they hold."""

import math
from dataclasses import dataclass

from experiments.inference.cameras import Camera, Size, TrainingCamera, centered

#: Degrees across the width of an image, where nothing is known of any camera.
ASSUMED_ANGLE = 60.0


@dataclass(frozen=True)
class Scale:
    """What a run says of its metres.

    Attributes:
        training: the focal length that they were learned with; None where the run recorded none.
        alignment: how the run's evaluation fits predictions to the truth; ``none`` where they are in metres.
    """

    training: TrainingCamera | None = None
    alignment: str = "none"

    def judge(self, camera: Camera | None, size: Size, shown: Size) -> tuple[float, str]:
        """Return what predicted depth is multiplied with, and what then holds for it, in one sentence.

        Args:
            camera: of the image; None where nothing is known of it.
            size: height and width of the image.
            shown: height and width at which the network saw it.
        """
        if self.alignment != "none":
            return 1.0, f"no metres: the run is evaluated after a fit of each image to the truth ({self.alignment})"
        if self.training is None:
            return 1.0, (
                "metres hold only for a camera like the one of the training frames, whose focal length the run has not "
                "recorded"
            )
        own = f"{self.training.focal:.0f} px of the training frames"
        if camera is None or camera.assumed:
            angle = math.degrees(2 * math.atan(shown[1] / 2 / self.training.focal))
            return 1.0, (
                f"metres hold only for a camera like the one of the training frames: {angle:.0f} degrees across the "
                "width of this image; its focal length is not known (`--fov`, `--intrinsics` or `--known`)"
            )
        factor = self.training.factor(camera, size, shown)
        seen = camera.resized(size, shown).focal
        return factor, f"depth times {factor:.3f}: focal length {seen:.0f} px ({camera.source}) instead of {own}"

    def assumed_camera(self, size: Size, shown: Size) -> Camera:
        """Return a camera for the points of an image about whose own nothing is known.

        Args:
            size: height and width of the image.
            shown: height and width at which the network saw it.
        """
        if self.training is not None:
            zoom = math.sqrt(math.prod(size) / math.prod(shown))
            return centered(self.training.focal * zoom, size, "assumed, as of the training frames", assumed=True)
        focal = size[1] / 2 / math.tan(math.radians(ASSUMED_ANGLE / 2))
        return centered(focal, size, f"assumed, {ASSUMED_ANGLE:.0f} degrees across the width", assumed=True)
