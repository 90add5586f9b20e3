"""Bilinear interpolation by its definition, in float64, to examine what resizes a prediction."""

import math

import numpy as np


def loop_bilinear(values, size):
    """A map (h, w) at another size; the centres of pixels are at half-integers, and its border is repeated."""

    def weights(old, new):
        matrix = np.zeros((new, old))
        for i in range(new):
            position = (i + 0.5) * old / new - 0.5
            low = math.floor(position)
            for j, weight in ((low, 1 - (position - low)), (low + 1, position - low)):
                matrix[i, min(max(j, 0), old - 1)] += weight
        return matrix

    return weights(values.shape[0], size[0]) @ values @ weights(values.shape[1], size[1]).T
