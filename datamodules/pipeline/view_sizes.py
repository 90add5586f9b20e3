"""Whether the sizes that frames are shown at fit together."""

from datamodules.pipeline.superpixels import Superpixels
from datamodules.pipeline.transforms import Size


def check_crop(name: str, frame: Size, crop: Size) -> None:
    """Check that training crops fit into the frames, or into the window of them that crops are drawn from.

    Args:
        name: of the data set, for the message.
        frame: height and width of what crops are drawn from.
        crop: height and width of a crop.

    Raises:
        ValueError: if they do not.
    """
    (height, width) = frame
    if crop[0] > height or crop[1] > width:
        raise ValueError(
            f"{name}: frames of {height}x{width} pixels are smaller than the training crop of {crop[0]}x{crop[1]}; set "
            "a smaller `data.init_args.crop` or a larger `resize`"
        )


def depth_divisor(name: str, training: Size, evaluation: Size, *, radial: bool) -> float:
    """Return what depth of training frames is divided by, so that a pixel shows as many metres as in evaluation.

    Args:
        name: of the data set, for the message.
        training: height and width of whole training frames.
        evaluation: height and width of frames in evaluation.
        radial: whether depth is the distance to the camera.

    Raises:
        ValueError: if training frames are stretched, or depth is no z coordinate.
    """
    zoom = [larger / smaller for larger, smaller in zip(training, evaluation, strict=True)]
    if abs(zoom[0] / zoom[1] - 1) > 0.01 or radial:
        reason = "depth is the distance to the camera" if radial else "the aspect ratios of the two differ"
        raise ValueError(
            f"{name}: training frames are {training[0]}x{training[1]} and {evaluation[0]}x{evaluation[1]} in "
            f"evaluation, but {reason}; set `data.init_args.divide_depth_by_zoom: false`, or another `resize`"
        )
    return (zoom[0] * zoom[1]) ** 0.5


def check_superpixels(superpixels: Superpixels | None, size: Size) -> None:
    """Check that superpixels can be made of a network input of a size; raises ValueError if not."""
    if superpixels is not None:
        superpixels.check(*size)


def check_whole_frames(name: str, frame: Size, resize: Size | None) -> None:
    """Check that superpixels of whole frames can be kept in the frames' own pixels.

    Args:
        name: of the data set, for the message.
        frame: height and width of the frames.
        resize: height and width that they are brought to before they are cropped; None leaves them.

    Raises:
        ValueError: if frames are enlarged, so that they have fewer pixels than the superpixels are made of.
    """
    if resize is not None and (resize[0] > frame[0] or resize[1] > frame[1]):
        raise ValueError(
            f"{name}: `superpixels_of: frame` keeps superpixels in the frames' pixels, {frame}, but `resize` is "
            f"{resize}, which has more; move the resizing to `preprocess`, or set `superpixels_of: crop`"
        )
