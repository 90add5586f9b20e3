"""Exact distances from points to the nearest of a cloud, on the CPU.

Both sets of points stand in trees of boxes whose leaves are blocks of :data:`SIZE` neighbours, and whole blocks are
searched at a time: what lies farther from a block's box than its worst distance so far is not looked at, and distances
between two blocks are a loop without a branch. The loops are compiled by Numba, once for each machine.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

#: Points of a block.
SIZE = 16

#: Nodes that wait during a walk through a tree: one a level, of which 2^64 points would not need more.
DEPTH = 64

#: What makes the loop over a block one of vector instructions; no point is NaN.
FAST = {"nnan", "nsz", "contract", "reassoc"}

Floats = NDArray[np.float64]


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return Numba's decorator, which keeps the machine code on disk where there is a folder that it can write to."""

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(nogil=True, cache=True, **options)(function)
        except RuntimeError:  # neither beside this file nor in the home folder
            return numba.njit(nogil=True, **options)(function)

    return decorate


class BoxTree(NamedTuple):
    """Points in blocks of neighbours, below a binary tree of boxes around them.

    Nodes are numbered as a walk meets them that takes the left branch first; a node over the blocks a to b, not b
    itself, has those up to the middle (a + b) // 2 on its left.

    Attributes:
        order: (N,) places of the points, block by block.
        low: (nodes, 3) lower corners of the boxes.
        high: (nodes, 3) upper corners.
        blocks: (blocks, 3, SIZE) coordinates; the last point stands in all places that are left over.
    """

    order: NDArray[np.int64]
    low: Floats
    high: Floats
    blocks: Floats


def box_tree(points: Floats) -> BoxTree:
    """Return the tree of (N, 3) finite points, of which there is at least one."""
    return BoxTree(*_grow(np.ascontiguousarray(points, np.float64)))


def nearest_distances(points: Floats, cloud: Floats, workers: int = -1) -> tuple[Floats, Floats]:
    """Return the distance of each point to the nearest of a cloud, and the other way round.

    Args:
        points: (N, 3), N > 0, finite.
        cloud: (M, 3), M > 0, finite.
        workers: threads, -1 for all cores.

    Returns:
        (N,) distances of the points and (M,) of the cloud, in their unit.
    """
    threads = (os.cpu_count() or 1) if workers == -1 else workers
    with ThreadPoolExecutor(threads) as pool:
        first, second = pool.map(box_tree, (points, cloud))
    return _distances(first, second, threads), _distances(second, first, threads)


def _distances(points: BoxTree, cloud: BoxTree, threads: int) -> Floats:
    """(N,) distances of points to the nearest of a cloud."""
    squares = np.empty((len(points.blocks), SIZE))
    parts = list(zip(*(np.array_split(rows, threads) for rows in (points.blocks, squares)), strict=True))
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda part: _search(part[0], cloud.low, cloud.high, cloud.blocks, part[1]), parts))
    distances = np.empty(len(points.order))
    distances[points.order] = np.sqrt(squares.ravel()[: len(distances)])
    return distances


@compiled()
def _grow(points):  # type: ignore[no-untyped-def]
    """The parts of a tree of (N, 3) points: each box is halved across its longest side."""
    count = len(points)
    leaves = (count + SIZE - 1) // SIZE
    rows, order = points.copy(), np.arange(count)
    low, high = np.empty((2 * leaves - 1, 3)), np.empty((2 * leaves - 1, 3))
    blocks = np.empty((leaves, 3, SIZE))
    waiting = np.empty((DEPTH, 3), np.int64)
    waiting[0] = (0, 0, leaves)
    left_over = 1
    while left_over:
        left_over -= 1
        node, start, end = waiting[left_over]
        first, last = start * SIZE, min(end * SIZE, count)
        axis = 0
        for side in range(3):
            least = most = rows[first, side]
            for place in range(first, last):
                least, most = min(least, rows[place, side]), max(most, rows[place, side])
            low[node, side], high[node, side] = least, most
            if most - least > high[node, axis] - low[node, axis]:
                axis = side
        if end - start == 1:
            for place in range(SIZE):
                for side in range(3):
                    blocks[start, side, place] = rows[min(first + place, last - 1), side]
        else:
            middle = (start + end) // 2
            _halve(rows, order, axis, first, last, middle * SIZE)
            waiting[left_over] = (node + 2 * (middle - start), middle, end)
            waiting[left_over + 1] = (node + 1, start, middle)
            left_over += 2
    return order, low, high, blocks


@compiled()
def _halve(rows, order, axis, first, last, middle):  # type: ignore[no-untyped-def]
    """Bring the rows smallest along an axis, of first to last, before ``middle`` (Hoare's quickselect)."""
    last -= 1
    while first < last:
        pivot = rows[(first + last) // 2, axis]
        up, down = first, last
        while up <= down:
            while rows[up, axis] < pivot:
                up += 1
            while rows[down, axis] > pivot:
                down -= 1
            if up <= down:
                for side in range(3):
                    rows[up, side], rows[down, side] = rows[down, side], rows[up, side]
                order[up], order[down] = order[down], order[up]
                up += 1
                down -= 1
        if middle <= down:
            last = down
        elif middle >= up:
            first = up
        else:
            return


@compiled()
def _search(queries, low, high, blocks, squares):  # type: ignore[no-untyped-def]
    """Fill the squared distances (Q, SIZE) of blocks of points (Q, 3, SIZE) to the nearest of a tree."""
    waiting, gaps = np.empty((DEPTH, 3), np.int64), np.empty(DEPTH)
    least, most = np.empty(3), np.empty(3)
    seed = 0
    for number in range(len(queries)):
        points, nearest = queries[number], squares[number]
        nearest[:] = np.inf
        for side in range(3):
            least[side], most[side] = points[side].min(), points[side].max()
        _compare(points, blocks[seed], nearest)  # what was near to the block before is likely to be near
        worst, tried = nearest.max(), seed
        waiting[0], gaps[0] = (0, 0, len(blocks)), 0.0
        left_over = 1
        while left_over:
            left_over -= 1
            gap = gaps[left_over]
            node, start, end = waiting[left_over]
            while gap < worst and end - start > 1:
                middle = (start + end) // 2
                left, right = node + 1, node + 2 * (middle - start)
                to_left, to_right = _gap(least, most, low, high, left), _gap(least, most, low, high, right)
                if to_left <= to_right:
                    waiting[left_over], gaps[left_over] = (right, middle, end), to_right
                    node, end, gap = left, middle, to_left
                else:
                    waiting[left_over], gaps[left_over] = (left, start, middle), to_left
                    node, start, gap = right, middle, to_right
                left_over += gaps[left_over] < worst
            if gap < worst and start != tried and _reaches(points, nearest, low[node], high[node]):
                _compare(points, blocks[start], nearest)
                if nearest.max() < worst:
                    worst, seed = nearest.max(), start


@compiled()
def _gap(least, most, low, high, node):  # type: ignore[no-untyped-def]
    """The squared distance of a box to that of a node."""
    square = 0.0
    for side in range(3):
        apart = max(least[side] - high[node, side], low[node, side] - most[side], 0.0)
        square += apart * apart
    return square


@compiled(fastmath=FAST)
def _reaches(points, nearest, low, high):  # type: ignore[no-untyped-def]
    """Tell whether a box is nearer to one of the points (3, SIZE) than what it has found so far: to few, far off."""
    nearer = 0
    for point in range(SIZE):
        across = max(low[0] - points[0, point], points[0, point] - high[0], 0.0)
        down = max(low[1] - points[1, point], points[1, point] - high[1], 0.0)
        ahead = max(low[2] - points[2, point], points[2, point] - high[2], 0.0)
        nearer += across * across + down * down + ahead * ahead < nearest[point]
    return nearer > 0


@compiled(fastmath=FAST)
def _compare(points, block, nearest):  # type: ignore[no-untyped-def]
    """Lower squared distances (SIZE,) of points (3, SIZE) to those to a block (3, SIZE)."""
    for point in range(SIZE):
        x, y, z = points[0, point], points[1, point], points[2, point]
        least = nearest[point]
        for other in range(SIZE):
            across, down, ahead = block[0, other] - x, block[1, other] - y, block[2, other] - z
            square = across * across + down * down + ahead * ahead
            least = square if square < least else least
        nearest[point] = least
