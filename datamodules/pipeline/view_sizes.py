"""Whether the sizes that frames are shown at fit together."""

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
