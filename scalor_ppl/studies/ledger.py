"""The ledger of results: one line of JSON per trained program and trial.

``scalor-ppl reproduce`` appends to it, ``scalor_ppl.studies.tables`` makes RESULTS.md of it. A line
is never changed: who scores a run again adds a line, and the last one of a seed counts.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from scalor_ppl.errors import UserError
from scalor_ppl.evaluation import Scores
from scalor_ppl.files import check_writable
from scalor_ppl.results.locks import owned

TURN = 60.0  # seconds to wait for another process that adds a line

DIGITS = 6  # decimals kept of a figure: more than any table shows
STANDARD = (  # figures that are taken from the scores of the rule "standard" as they are
    *("precision", "recall", "idf1", "hota", "id_switches", "fragmentations", "count_mae", "mse"),
    *("propagation_rate", "discoveries_per_video"),
)


class LedgerLine(BaseModel):
    """A line of a ledger: what was measured, of what, and by what; what does not apply is None."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Entry(LedgerLine):
    """What one program scored on one trial.

    Attributes:
        experiment: name of the experiment.
        trial: title of the trial.
        seed: of the training.
        mota: CLEAR-MOT within twice the object size, slivers set aside; at most 1.
        plain: the same, every object counts.
        strict: the same as `mota`, within half the object size.
        iou: MOTA by box overlap of at least a half.
        precision: by the rule of `mota`, 0..1.
        recall: likewise.
        idf1: likewise.
        hota: likewise.
        id_switches: likewise.
        fragmentations: likewise.
        count_mae: mean relative error of the number of objects in a frame.
        mse: mean squared error of the reconstruction, pixels in 0..1.
        propagation_rate: share of objects after the first frame that were propagated, 0..1.
        discoveries_per_video: discoveries a clip.
        clips: number of clips.
        frames: length of a clip.
        steps: of training.
        minutes: of training, wall-clock.
        threads: of the training; "1 then 3" where its parts differ, as in the fields below.
        hardware: processor or GPU of the training.
        commit: of the source that trained it.
        scored_by: commit of the source that scored it.
        date: on which it was trained, year-month-day.
    """

    experiment: str
    trial: str
    seed: int
    mota: float | None = None
    plain: float | None = None
    strict: float | None = None
    iou: float | None = None
    precision: float | None = None
    recall: float | None = None
    idf1: float | None = None
    hota: float | None = None
    id_switches: int | None = None
    fragmentations: int | None = None
    count_mae: float | None = None
    mse: float | None = None
    propagation_rate: float | None = None
    discoveries_per_video: float | None = None
    clips: int
    frames: int
    steps: int
    minutes: float
    threads: str
    hardware: str
    commit: str
    scored_by: str
    date: str


Line = TypeVar("Line", bound=LedgerLine)


def scored_entry(
    scores: Mapping[str, Scores], parts: Sequence[Mapping[str, Any]], **known: Any
) -> Entry:
    """The line of a scored program.

    Args:
        scores: by rule: "standard", "plain", "strict" and "iou".
        parts: where and by which commit it was trained, as ``training.origin`` gives it.
        **known: the fields that neither says: experiment, trial, seed, steps, minutes, scored_by.
    """
    main = scores["standard"]
    return Entry(
        mota=_kept(main.mota),
        **{rule: _kept(scores[rule].mota) for rule in ("plain", "strict", "iou")},
        **{name: _kept(getattr(main, name)) for name in STANDARD},
        clips=main.clips,
        frames=main.frames // main.clips,
        **told_of(parts),
        **known,
    )


def told_of(parts: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Threads, hardware, commit and date of a training, from its parts."""
    return {
        "threads": _said(parts, lambda part: str(part["threads"])),
        "hardware": _said(parts, hardware),
        "commit": _said(parts, lambda part: part["commit"]),
        "date": _said(parts, lambda part: part["date"][:10]),
    }


def hardware(part: Mapping[str, Any]) -> str:
    """The processor or GPU of a part of a training."""
    if part["device"] != "cpu":
        return part["device"]
    return f"{part['cores']} x {part['processor']}"


def append_entry(path: Path, entry: LedgerLine) -> bool:
    """Add a line at the end of the file; missing folders are made.

    Several processes may append to one file: they take turns. A line that is there already is not
    added again: the run was killed after it, or the same run was scored again by the same commit.

    Returns:
        Whether it was added.
    """
    with owned(path, wait=TURN):
        if path.is_file() and any(_same(entry, other) for other in read_ledger(path, type(entry))):
            return False
        _append(path, entry.model_dump_json(exclude_none=True) + "\n")
        return True


def _same(first: LedgerLine, second: LedgerLine) -> bool:
    """Whether two lines say the same; the minutes of one run may be rounded up or down."""
    mine, other = (getattr(each, "minutes", None) for each in (first, second))
    near = mine == other
    if mine is not None and other is not None:
        near = abs(mine - other) < 0.15
    return near and first.model_copy(update={"minutes": other}) == second


def _append(path: Path, line: str) -> None:
    with path.open("a+b") as file:
        if file.tell() > 0:
            file.seek(-1, 2)
            if file.read(1) != b"\n":  # an editor that left the last line open
                line = "\n" + line
        file.write(line.encode())


def check_ledger(path: Path, kind: type[LedgerLine] = Entry) -> None:
    """Complain now about a ledger that a line could not be added to when the work is done.

    Raises:
        UserError: its name has another end, or it cannot be read or written.
    """
    if path.suffix != ".jsonl":
        raise UserError(f"--results {path}: a ledger has JSON lines, end its name in .jsonl")
    check_writable(path)
    if path.is_file():
        read_ledger(path, kind)


def read_entries(path: Path) -> list[Entry]:
    """The lines of the ledger of experiments; see :func:`read_ledger`."""
    return read_ledger(path, Entry)


def read_ledger(path: Path, kind: type[Line]) -> list[Line]:
    """The lines of a ledger, in order.

    Args:
        path: of the file.
        kind: of its lines.

    Raises:
        UserError: the file cannot be read, or a line is none of such a ledger.
    """
    entries = []
    for number, line in read_lines(path):
        try:
            entries.append(kind.model_validate(line))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise UserError(f"{path}, line {number}: {field}: {first['msg']}") from None
    return entries


def read_lines(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """The objects of a file of JSON lines with their numbers, from 1; empty lines are left out.

    Raises:
        UserError: the file cannot be read, or a line is no JSON object.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{path}, line {number} is no JSON: {error}") from None
        if not isinstance(value, dict):
            raise UserError(f"{path}, line {number} is no JSON object")
        found.append((number, value))
    return found


def _kept(figure: float) -> float | None:
    """A figure as it is written: NaN, a ratio of nothing to nothing, becomes None."""
    if isinstance(figure, int):
        return figure
    return round(figure, DIGITS) if math.isfinite(figure) else None


def _said(parts: Sequence[Mapping[str, Any]], of: Callable[[Mapping[str, Any]], str]) -> str:
    """What the parts of a training say: one word where all agree."""
    return " then ".join(dict.fromkeys(of(part) for part in parts)) or "unknown"
