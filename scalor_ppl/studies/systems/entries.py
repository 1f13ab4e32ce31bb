"""The lines of a table of systems, as results keep them."""

from pathlib import Path

from scalor_ppl.environment import commit
from scalor_ppl.studies.ledger import DIGITS, LedgerLine, told_of
from scalor_ppl.studies.systems.cells import Cell, CellWork
from scalor_ppl.studies.systems.programs import minutes_of
from scalor_ppl.training.origin import read_parts
from scalor_ppl.training.runs import located


class SystemEntry(LedgerLine):
    """What one system did on one set.

    Attributes:
        set, system: titles, as tables show them.
        seed: of the training.
        origin: ``trained``, ``pretrained:NAME`` or ``given``.
        sigma: of the pixels.
        nll_bound: upper bound on -log p(x), nats a pixel over the sequence, all channels together.
        nll_error: its standard error over clips.
        nll_floor: the least that it can be with that sigma: every value hit exactly.
        nll_misfit: what the squared error adds to that; ``nll_rest`` is what is left.
        nll_latents: what the latents cost, of a draw; none in lines from before it was measured.
        nll_drawn: what drawing them adds to the misfit. The rest is their sum, less what the best
            of many draws saves.
        nll_over: by how much ``nll_bound`` lies above that of the first system of the same command,
            clip by clip on the same clips; none of the first itself.
        nll_over_error: the standard error of that mean difference.
        over: title of that first system.
        particles: K of the importance-weighted bound.
        presence: ``hard``, or none where the program has no presence.
        bound: on log p(x), nats a clip; ``bound_error`` its standard error.
        ess: effective sample size of the K weights.
        bound_clips: how many clips were bounded.
        mse: mean squared error of a value, most likely latents taken, networks alone.
        mse_error: its standard error over clips.
        clips: how many were reconstructed.
        frames: length of a clip.
        parameters: how many were trained.
        steps: of training.
        minutes: of training, wall-clock; none where nobody knows.
        processor_minutes: what processors worked for it; none where the run did not count them.
        budget: minutes that it was planned for; none of a run that was given.
        paper_nll, paper_mse: what the paper reports, on data of its own.
        threads: of the training, as in the fields below.
        hardware: processor or GPU of the training.
        commit: of the source that trained it.
        scored_by: commit of the source that judged it.
        date: on which it was trained, year-month-day.
    """

    set: str
    system: str
    seed: int
    origin: str
    sigma: float
    nll_bound: float
    nll_error: float | None = None
    nll_floor: float
    nll_misfit: float | None = None
    nll_rest: float | None = None
    nll_latents: float | None = None
    nll_drawn: float | None = None
    nll_over: float | None = None
    nll_over_error: float | None = None
    over: str | None = None
    particles: int
    presence: str | None = None
    bound: float
    bound_error: float | None = None
    ess: float
    bound_clips: int
    mse: float
    mse_error: float | None = None
    clips: int
    frames: int
    parameters: int
    steps: int
    minutes: float | None = None
    processor_minutes: float | None = None
    budget: float | None = None
    paper_nll: float | None = None
    paper_mse: float | None = None
    threads: str
    hardware: str
    commit: str
    scored_by: str
    date: str


def system_entry(work: CellWork, cell: Cell, run: Path, first: Cell) -> SystemEntry:
    """The line of a cell.

    Args:
        work: of its table.
        cell: filled.
        run: that it was filled by.
        first: cell of the same set that its bound is compared with; the cell itself compares with
            nothing.
    """
    table = work.table
    found, bound = cell.judgement, cell.judgement.bound
    over, over_error = (None, None) if cell is first else found.over(first.judgement)
    paper = table.figures_of_paper(cell.column, cell.row)
    return SystemEntry(
        set=table.sets[cell.column].title,
        system=table.systems[cell.row].title,
        seed=cell.seed,
        origin=cell.origin,
        sigma=found.sigma,
        nll_bound=round(found.nll_bound, DIGITS),
        nll_error=_rounded(found.nll_error),
        nll_floor=round(found.floor, DIGITS),
        nll_misfit=round(found.misfit, DIGITS),
        nll_rest=round(found.rest, DIGITS),
        nll_latents=round(found.latents, DIGITS),
        nll_drawn=round(found.drawn, DIGITS),
        nll_over=_rounded(over),
        nll_over_error=_rounded(over_error),
        over=None if over is None else table.systems[first.row].title,
        particles=bound.particles,
        presence=bound.presence,
        bound=round(bound.per_video, 1),
        bound_error=_rounded(bound.error, 1),
        ess=round(bound.effective, 2),
        bound_clips=bound.clips,
        mse=round(found.mse, DIGITS),
        mse_error=_rounded(found.mse_error),
        clips=len(found.errors),
        frames=work.question.frames,
        parameters=found.parameters,
        steps=cell.steps,
        minutes=_rounded(cell.minutes, 1),
        processor_minutes=_rounded(minutes_of(located(run), "processor_seconds"), 1),
        budget=cell.budget,
        paper_nll=paper.nll,
        paper_mse=paper.mse,
        scored_by=commit(),
        **told_of(read_parts(located(run))),
    )


def _rounded(value: float | None, digits: int = DIGITS) -> float | None:
    return None if value is None else round(value, digits)
