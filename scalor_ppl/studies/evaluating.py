"""Runs scored on fresh clips, one by one or on workers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scalor_ppl.data import ClipSource
from scalor_ppl.evaluation import Scores
from scalor_ppl.evaluation.edges import EdgeErrors, edge_errors
from scalor_ppl.inference.bounds import Bound, bound_of
from scalor_ppl.inference.scoring import reconstruction_error, tracked
from scalor_ppl.programs import FindsObjects, require
from scalor_ppl.tracking.workers import RunChoice
from scalor_ppl.training.sources import chosen, open_data


@dataclass(frozen=True)
class Evaluation:
    """A run, and the clips that it is scored on.

    Attributes:
        choice: the run.
        data: set or path; the run's own where it is none.
        folder: of the MNIST files, for digits.
        seed: of generated clips; the run's own where it is none.
        clips, frames: how many, and how long.
        recognise: identities by looks where objects covered each other.
        bound: estimator of a bound of log p(x); none takes none.
        particles: draws a clip for the bound.
        edges: errors of what the edge of the view cuts, too.
    """

    choice: RunChoice
    data: str | None = None
    folder: Path | None = None
    seed: int | None = None
    clips: int = 100
    frames: int = 10
    recognise: bool = True
    bound: str | None = None
    particles: int = 100
    edges: bool = False

    def anywhere(self) -> "Evaluation":
        """The same from any directory."""
        data, folder = self.data, self.folder
        if data is not None and Path(data).exists():
            data = str(Path(data).resolve())
        if folder is not None:
            folder = folder.resolve()
        return replace(self, choice=self.choice.anywhere(), data=data, folder=folder)


@dataclass(frozen=True)
class Evaluated:
    """The figures of a run.

    Attributes:
        source: the clips.
        bound: where it was asked for.
        mse: of a program that finds no objects.
        scores: of one that does, by rule; none of clips without ground truth that were bounded.
        edges: errors of the centres of objects by their share in view, where they were asked for.
    """

    source: str
    bound: Bound | None = None
    mse: float | None = None
    scores: Mapping[str, Scores] | None = None
    edges: Sequence[EdgeErrors] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Fit for JSON."""
        figures: dict[str, Any] = {}
        if self.bound is not None:
            figures["bound"] = self.bound.to_dict()
        if self.mse is not None:
            figures["mse"] = self.mse
        if self.edges is not None:
            figures["edges"] = [each.to_dict() for each in self.edges]
        return figures | {rule: each.to_dict() for rule, each in (self.scores or {}).items()}


def evaluate_run(asked: Evaluation) -> Evaluated:
    """Score a run on fresh clips: its tracks against ground truth, or its reconstruction.

    Raises:
        UserError: the run, the clips or the estimator are not there, or do not go together.
    """
    program = asked.choice.load()
    settings = chosen(program.config.data, asked.data, folder=asked.folder, seed=asked.seed)
    source = open_data(settings, "test")
    amount = {"clips": asked.clips, "frames": asked.frames}
    bound = None
    if asked.bound is not None:
        bound = bound_of(
            program, source, estimator=asked.bound, particles=asked.particles, **amount
        )
    if asked.edges:
        require(program, FindsObjects, "evaluate --edges")
    if not isinstance(program, FindsObjects):
        error = reconstruction_error(program, source, **amount)
        return Evaluated(settings.source, bound, mse=error)
    if bound is not None and not asked.edges and not _has_truth(source, asked.frames):
        return Evaluated(settings.source, bound)
    found = tracked(program, source, recognise=asked.recognise, **amount)
    edges = None
    if asked.edges:
        edges = edge_errors(found.tracks, found.truths, (source.height, source.width))
    return Evaluated(settings.source, bound, scores=found.scores, edges=edges)


def _has_truth(source: ClipSource, frames: int) -> bool:
    """Whether there is something to score; a bound needs no ground truth."""
    return source.clip(0, frames).truth is not None
