"""RESULTS.md's log: one line of a Markdown table per trained and scored program."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalor_ppl.evaluation import Scores

HEADINGS = (
    "experiment",
    "trial",
    "seed",
    "MOTA",
    "plain",
    "strict",
    "IoU",
    "precision",
    "recall",
    "IDF1",
    "HOTA",
    "IDSW",
    "frag",
    "count error",
    "MSE",
    "propagation",
    "found / clip",
    "clips",
    "steps",
    "minutes",
    "threads",
    "hardware",
    "commit",
    "date",
)


@dataclass(frozen=True)
class Entry:
    """A program and what it scored on one trial.

    Attributes:
        experiment: name of the experiment.
        trial: title of the trial.
        seed: of the training.
        scores: by rule.
        steps: of training.
        minutes: of training, wall-clock.
        environment: of the training, as ``scalor_ppl.environment`` gives it, and its ``commit``.
        scored: commit of the source that scored it.
    """

    experiment: str
    trial: str
    seed: int
    scores: Mapping[str, Scores]
    steps: int
    minutes: float
    environment: Mapping[str, Any]
    scored: str

    def cells(self) -> list[str]:
        """The line's cells, in the order of ``HEADINGS``."""
        by = self.scores
        main, world = by["standard"], self.environment
        shares = [by[rule].mota for rule in ("standard", "plain", "strict", "iou")]
        shares += [main.precision, main.recall, main.idf1, main.hota]
        device = world["device"]
        where = f"{world['cores']} x {world['processor']}" if device == "cpu" else device
        return [
            self.experiment,
            self.trial,
            str(self.seed),
            *(f"{share:.3f}" for share in shares),
            str(main.id_switches),
            str(main.fragmentations),
            f"{main.count_mae:.3f}",
            f"{main.mse:.4f}",
            f"{main.propagation_rate:.3f}",
            f"{main.discoveries_per_video:.1f}",
            f"{main.clips} x {main.frames // main.clips}",
            str(self.steps),
            f"{self.minutes:.1f}",
            str(world["threads"]),
            where,
            world["commit"] if world["commit"] == self.scored else self._two_commits(),
            world["date"][:10],
        ]

    def _two_commits(self) -> str:
        return f"{self.environment['commit']}, scored by {self.scored}"


def append_entry(path: Path, entry: Entry) -> None:
    """Add a line at the end of the file, and the table's head where the file ends with no table.

    A line is written at once: several processes may append to one file.
    """
    lines = path.read_text().splitlines() if path.is_file() else []
    text = _row(entry.cells())
    if not lines or not lines[-1].startswith("|"):
        gap = "\n" if lines and lines[-1] else ""
        text = gap + _row(HEADINGS) + _row(["---"] * len(HEADINGS)) + text
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(text)


def _row(cells: tuple[str, ...] | list[str]) -> str:
    return "| " + " | ".join(cells) + " |\n"
