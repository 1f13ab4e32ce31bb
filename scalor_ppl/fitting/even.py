"""Even samples of a stream of frames whose length is not known beforehand."""

import numpy as np


class EvenSample:
    """Keeps evenly spaced runs of consecutive frames, in bounded memory and one pass.

    The stream is cut into runs. Every run is kept until there are too many; then every second one
    is dropped and the spacing doubles. So between half of `limit` and `limit` runs stay, or all of
    a short stream.

    Args:
        limit: most runs kept, at least 2.
        run: frames of a run, at least 1.
    """

    def __init__(self, limit: int, run: int = 1) -> None:
        if limit < 2 or run < 1:
            raise ValueError(f"limit={limit}, run={run}: give at least 2 and at least 1")
        self._limit = limit
        self._run = run
        self._spacing = 1
        self._offered = 0
        self._runs: list[list[np.ndarray]] = []

    def offer(self, frame: np.ndarray) -> None:
        """Take the stream's next frame; it is not copied."""
        run, place = divmod(self._offered, self._run)
        self._offered += 1
        if place == 0 and run % self._spacing == 0 and len(self._runs) == self._limit:
            self._runs = self._runs[::2]
            self._spacing *= 2
        if run % self._spacing:
            return
        if place == 0:
            self._runs.append([])
        self._runs[-1].append(frame)

    @property
    def runs(self) -> list[list[np.ndarray]]:
        """The complete runs kept, in order."""
        return [run for run in self._runs if len(run) == self._run]

    @property
    def frames(self) -> list[np.ndarray]:
        """The frames of all runs, in order; those of an incomplete run too."""
        return [frame for run in self._runs for frame in run]
