"""RESULTS.md's log: one line of a Markdown table per trained and scored program."""

from collections.abc import Callable, Mapping, Sequence
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
        parts: where and by which commit it was trained, as ``inference.origin`` gives it.
        scored: commit of the source that scored it.
    """

    experiment: str
    trial: str
    seed: int
    scores: Mapping[str, Scores]
    steps: int
    minutes: float
    parts: Sequence[Mapping[str, Any]]
    scored: str

    def cells(self) -> list[str]:
        """The line's cells, in the order of ``HEADINGS``."""
        by = self.scores
        main = by["standard"]
        shares = [by[rule].mota for rule in ("standard", "plain", "strict", "iou")]
        shares += [main.precision, main.recall, main.idf1, main.hota]
        trained = self._said(lambda part: part["commit"])
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
            self._said(lambda part: str(part["threads"])),
            self._said(hardware),
            trained if trained == self.scored else f"{trained}, scored by {self.scored}",
            self._said(lambda part: part["date"][:10]),
        ]

    def _said(self, of: Callable[[Mapping[str, Any]], str]) -> str:
        """What the parts of the training say: one word where all agree."""
        return " then ".join(dict.fromkeys(of(part) for part in self.parts)) or "unknown"


def hardware(part: Mapping[str, Any]) -> str:
    """The processor or GPU of a part."""
    if part["device"] != "cpu":
        return part["device"]
    return f"{part['cores']} x {part['processor']}"


def append_entry(path: Path, entry: Entry) -> None:
    """Add a line at the end of the file, and the log's head where the file does not end with it.

    A line is written at once: several processes may append to one file.
    """
    before = path.read_text() if path.is_file() else ""
    table = []
    for line in reversed(before.splitlines()):
        if not line.startswith("|"):
            break
        table.append(line)
    text = _row(entry.cells())
    if not table or table[-1] != _row(HEADINGS).strip():
        gap = "\n" if before.strip() else ""
        text = gap + _row(HEADINGS) + _row(["---"] * len(HEADINGS)) + text
    if before and not before.endswith("\n"):
        text = "\n" + text
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(text)


def _row(cells: tuple[str, ...] | list[str]) -> str:
    return "| " + " | ".join(cells) + " |\n"
