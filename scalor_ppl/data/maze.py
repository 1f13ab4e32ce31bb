"""The mazes of G-SWM's benchmark and the agents in them; see :mod:`scalor_ppl.data.gswm_specs`.

A maze has 7 x 7 cells. Those in even rows and columns are crossings, those between two crossings
are corridors or walls, those in odd rows and columns are walls. The corridors along the border are
all there. Those inside are what the random spanning tree of the walled cells does not cut, so that
every crossing can be reached; where a crossing would be a dead end, one more corridor is opened.
"""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import minimum_spanning_tree

from scalor_ppl.data.gswm_specs import CELLS, GswmSpec

_STEPS = np.array([(0, -1), (1, 0), (0, 1), (-1, 0)])  # x, y: up, right, down, left
_FRAMES = 2  # of a step from cell to cell


def draw_maze(rng: np.random.Generator) -> np.ndarray:
    """Bool [7, 7]: the cells, by row and column, that agents can be in; no dead ends."""
    free = np.zeros((CELLS, CELLS), dtype=bool)
    free[::2] = free[:, ::2] = True
    inner = [(y, x) for y in range(1, CELLS - 1) for x in range(1, CELLS - 1) if (y + x) % 2]
    # Kruskal's: in a random order, what parts two rooms that are not joined yet is taken away.
    side = CELLS // 2
    rooms = np.array(
        [
            ((y - 1) // 2 * side + (x - 1) // 2, y // 2 * side + x // 2)
            if y % 2 == 0
            else (y // 2 * side + x // 2 - 1, y // 2 * side + x // 2)
            for y, x in inner
        ]
    )
    weights = rng.permutation(len(inner)) + 1.0
    tree = minimum_spanning_tree(coo_array((weights, rooms.T), shape=(side**2, side**2)))
    for weight in tree.data:
        free[inner[int(np.flatnonzero(weights == weight)[0])]] = False
    for y in range(2, CELLS - 1, 2):
        for x in range(2, CELLS - 1, 2):
            around = [(y + dy, x + dx) for dx, dy in _STEPS]
            closed = [cell for cell in around if not free[cell]]
            if len(closed) >= len(around) - 1:
                free[closed[int(rng.integers(len(closed)))]] = True
    return free


def wandering(
    spec: GswmSpec, rng: np.random.Generator, free: np.ndarray, frames: int
) -> tuple[np.ndarray, np.ndarray]:
    """Agents that go straight on, left or right where they can, with equal chances, never back.

    Args:
        spec: the set.
        rng: of how many there are, where they begin, and which way they go.
        free: bool [7, 7] where they can be.
        frames: T; a step from cell to cell takes 2 frames.

    Returns:
        [T, N, 2] centres in pixels and [T, N, 2] velocities, those of the step that follows.
    """
    count = int(rng.integers(*spec.count, endpoint=True))
    ways = [_way(own, free, frames // _FRAMES + 2) for own in rng.spawn(count)]
    corners = (np.stack(ways, axis=1) + 0.5) * spec.view / CELLS
    steps = np.repeat(np.diff(corners, axis=0) / _FRAMES, _FRAMES, axis=0)
    centres = np.concatenate([corners[:1], corners[0] + np.cumsum(steps, axis=0)])
    return centres[:frames], steps[:frames]


def painted(free: np.ndarray, view: int) -> np.ndarray:
    """Float32 [view, view, 3]: walls white, corridors black."""
    cell = ((np.arange(view) + 0.5) * CELLS / view).astype(np.int64)
    walls = ~free[cell[:, None], cell]
    return np.repeat(walls[..., None], 3, axis=-1).astype(np.float32)


def _way(rng: np.random.Generator, free: np.ndarray, steps: int) -> np.ndarray:
    """[steps + 1, 2] cells, column and row, that one agent passes."""
    rows, columns = np.nonzero(free)
    start = int(rng.integers(len(rows)))
    cell = np.array([columns[start], rows[start]])
    way = [cell]
    heading = int(rng.choice(_open(free, cell, range(len(_STEPS)))))
    for _ in range(steps):
        cell = cell + _STEPS[heading]
        way.append(cell)
        turns = [(heading + turn) % len(_STEPS) for turn in (-1, 0, 1)]
        heading = int(rng.choice(_open(free, cell, turns)))
    return np.array(way)


def _open(free: np.ndarray, cell: np.ndarray, headings: range | list[int]) -> list[int]:
    """Those of the headings in which the next cell is free."""
    ahead = [cell + _STEPS[heading] for heading in headings]
    inside = [bool((next_cell >= 0).all() and (next_cell < CELLS).all()) for next_cell in ahead]
    return [
        heading
        for heading, (x, y), here in zip(headings, ahead, inside, strict=True)
        if here and free[y, x]
    ]
