"""The cells of a table of systems: trained here, or a run that is given; judged once.

OUT/SET/SYSTEM/plan.json         the steps that fit the minutes
OUT/SET/SYSTEM/seed_S/           the runs, each with ``cell.json``, what it was judged to do
OUT/SET/SYSTEM/given-HASH.json   the same of a run that is given
OUT/SET/side_by_side.png         what each system sees and imagines
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from scalor_ppl.config.schema import Config
from scalor_ppl.data import ClipSource
from scalor_ppl.environment import commit
from scalor_ppl.errors import UserError
from scalor_ppl.files import written_whole
from scalor_ppl.programs import Program
from scalor_ppl.programs.loader import family_of
from scalor_ppl.programs.registry import PROGRAMS
from scalor_ppl.studies.systems.judge import Judgement, JudgingQuestion, judge
from scalor_ppl.studies.systems.programs import minutes_of
from scalor_ppl.studies.systems.table import ClipSet, SystemsTable
from scalor_ppl.training.checkpoints import WEIGHTS, last_checkpoint, step_of
from scalor_ppl.training.loop import check_length
from scalor_ppl.training.runs import SHIPPED, load_run, located, run_config
from scalor_ppl.training.sources import open_data

CELL = "cell.json"
SHEET = "side_by_side.png"
TRAINED, GIVEN = "trained", "given"


@dataclass(frozen=True)
class Cell:
    """A filled cell.

    Attributes:
        column: name of the set.
        row: name of the system.
        seed: of the training.
        origin: ``trained`` in the table's own budget; ``pretrained:NAME``, which ships with the
            package; or ``given``, another run.
        steps: of the training.
        minutes: that it took; none where nobody knows.
        budget: minutes that it was planned for; none of a run that was given.
        judgement: on held-out clips.
    """

    column: str
    row: str
    seed: int
    origin: str
    steps: int
    minutes: float | None
    budget: float | None
    judgement: Judgement


@dataclass(frozen=True)
class CellWork:
    """What all cells of a table have in common.

    Attributes:
        table: which.
        question: on how much cells are judged.
        out: folder of everything.
        device: where.
        video: recording, for a set that wants one.
        folder: of the MNIST files.
    """

    table: SystemsTable
    question: JudgingQuestion
    out: Path
    device: torch.device
    video: Path | None = None
    folder: Path | None = None

    def config(self, column: str, row: str, seed: int = 0) -> Config:
        """Of a cell's training."""
        given = {"video": self.video, "folder": self.folder}
        return self.table.config(column, row, seed=seed, **given)

    def held_out(self, column: str, config: Config) -> ClipSource:
        """Clips of a set that no system was trained on."""
        question = self.question
        clips = self.table.sets[column]
        return clips.held_out(config.data, question.clips, question.frames, self.video)

    def judged(self, place: Path, run: Path, source: ClipSource) -> tuple[Program, Judgement]:
        """A run's program as its networks have it, and its judgement, which is kept in a file.

        It is measured anew where question, weights or commit are others than then.

        Args:
            place: the file.
            run: the trained run.
            source: of held-out clips.
        """
        # Systems are compared by what their networks say alone.
        program = load_run(run, self.device, refine=0)
        key = {
            "question": asdict(self.question),
            "source": source.name,
            "weights": weights_of_run(run),
            "scored_by": commit(),
        }
        known = _read_judgement(place, key)
        if known is None:
            known = judge(program, source, self.question)
            document = {**key, "judgement": known.to_dict()}
            with written_whole(place) as path:
                path.write_text(json.dumps(document, indent=2, allow_nan=False))
        return program, known


def weights_of_run(run: Path) -> str:
    """What tells a run's newest weights from any others."""
    content = (last_checkpoint(located(run)) / WEIGHTS).read_bytes()
    return hashlib.sha256(content).hexdigest()[:16]


def _read_judgement(place: Path, key: Mapping[str, Any]) -> Judgement | None:
    """What is in a file, where it answers the same question; nothing else is worth a complaint."""
    try:
        found = json.loads(place.read_text(encoding="utf-8"))
        if any(found[name] != value for name, value in key.items()):
            return None
        return Judgement.from_dict(found["judgement"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def check_cells(
    work: CellWork, cells: Sequence[tuple[str, str]], given: Mapping[tuple[str, str], Path]
) -> None:
    """Complain now about what could not be trained or judged later.

    Args:
        work: of the table.
        cells: set and system of each.
        given: runs in place of trainings, by cell.

    Raises:
        UserError: data are missing or too short, or a given run is of another program, set, size
            or sigma, or was trained on what is held out.
    """
    for column, row in cells:
        config = work.config(column, row)
        trained_on = open_data(config.data, "train")
        source = work.held_out(column, config)
        source.clip(0, work.question.frames)
        run = given.get((column, row))
        if run is None:
            check_length(trained_on, config.train)
        else:
            _check_given(work.table, column, row, run, config)
            load_run(run, work.device, refine=0).check_fits(
                source.name, source.height, source.width, source.channels
            )


def _check_given(table: SystemsTable, column: str, row: str, run: Path, config: Config) -> None:
    """Complain about a run that does not belong into its cell."""
    clips, own = table.sets[column], run_config(run)
    wanted = family_of(PROGRAMS[table.systems[row].program].model).name
    found = family_of(own.model_file).name
    if found != wanted:
        raise UserError(f"{run} is a run of {found}, and the row {row} is of {wanted}")
    if own.model.sigma != clips.sigma:
        raise UserError(
            f"{run} has model.sigma = {own.model.sigma:g}, and the column {column} "
            f"{clips.sigma:g}: bounds of different sigmas do not compare"
        )
    if own.data.source != config.data.source and not _one_file(own, config):
        raise UserError(f"{run} was trained on {own.data.source}, which is not {column}")
    _check_unseen(clips, run, own, config)


def _one_file(own: Config, config: Config) -> bool:
    paths = (Path(each.data.source) for each in (own, config))
    return len({path.resolve() for path in paths}) == 1


def _check_unseen(clips: ClipSet, run: Path, own: Config, config: Config) -> None:
    if not clips.recorded:
        return
    last, held_out = own.data.stop, config.data.stop
    assert held_out is not None
    if last is None or last > held_out:
        raise UserError(
            f"{run} was trained on frames that are held out here, from {held_out} on: train with "
            f"--set data.stop={held_out}"
        )


def given_cell(work: CellWork, column: str, row: str, run: Path) -> tuple[Program, Cell]:
    """The cell of a run that is given."""
    config = run_config(run)
    source = work.held_out(column, work.config(column, row))
    place = work.out / column / row / f"given-{weights_of_run(run)}.json"
    program, judgement = work.judged(place, run, source)
    origin = str(run) if str(run).startswith(SHIPPED) else GIVEN
    steps = step_of(last_checkpoint(located(run)))
    seed = config.train.seed
    minutes = minutes_of(located(run))
    return program, Cell(column, row, seed, origin, steps, minutes, None, judgement)


def run_folder(work: CellWork, column: str, row: str, seed: int) -> Path:
    """Of a cell's training."""
    return work.out / column / row / f"seed_{seed}"


def parse_given(
    texts: Sequence[str], cells: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], Path]:
    """``SYSTEM=RUN`` and ``SYSTEM/SET=RUN`` as runs by cell; ``{set}`` in a run is the set's name.

    What names a set goes before what does not.

    Args:
        texts: as they were given.
        cells: set and system of all.

    Raises:
        UserError: another form, a system or set that is not there, or a cell given twice.
    """
    general: dict[tuple[str, str], Path] = {}
    special: dict[tuple[str, str], Path] = {}
    for text in texts:
        name, equals, run = text.partition("=")
        row, slash, column = name.partition("/")
        if not equals or not row or not run or (slash and not column):
            raise UserError(f"--run {text}: write it as SYSTEM=RUN or SYSTEM/SET=RUN")
        meant = [cell for cell in cells if cell[1] == row and column in ("", cell[0])]
        if not meant:
            known = ", ".join(f"{row}/{column}" for column, row in cells)
            raise UserError(f"--run {text}: there is no such cell; there are {known}")
        into = special if slash else general
        for cell in meant:
            if cell in into:
                raise UserError(f"--run {text}: {name} is given twice")
            into[cell] = Path(run.replace("{set}", cell[0]))
    return general | special
