"""Whether a map can show a whole frame at another scale."""

#: Share of a side that networks round it by, to multiples of 14 or 16; cutting NYUv2's border off changes it more.
ROUNDING = 0.01


def is_scaled(size: tuple[int, int], frame: tuple[int, int]) -> bool:
    """Return whether a size (height, width) has a frame's aspect ratio, up to rounding of a pixel or 1 %."""
    (height, width), (frame_height, frame_width) = size, frame
    fitting = ((width, height * frame_width / frame_height), (height, width * frame_height / frame_width))
    return any(abs(side - wanted) <= max(1, ROUNDING * side) for side, wanted in fitting)
