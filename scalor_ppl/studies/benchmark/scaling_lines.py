"""Time and memory against the number of objects, as results keep them: a line for each point."""

from scalor_ppl.studies.benchmark.scaling import ScalingPoint, ScalingReport
from scalor_ppl.studies.ledger import LedgerLine, hardware


class ScalingEntry(LedgerLine):
    """A program with so many objects.

    Attributes:
        program: its name in the run.
        room: ``constant room``, ``exact room`` or ``no objects``.
        objects: in every video and frame.
        parameters: how many can be trained.
        batch, frames, rounds: videos, their length, repetitions.
        clock: ``wall`` or ``processor``.
        forward_ms: of a forward pass, median; ``forward_x`` over that with the fewest objects.
        step_ms, step_x: likewise of a training step.
        memory_mib, memory_x: likewise peak memory of training; none where it was not measured.
        load: of the machine before.
        threads: of the measurement.
        hardware: processor or GPU.
        commit: of the source.
        date: year-month-day.
    """

    program: str
    room: str
    objects: int
    parameters: int
    batch: int
    frames: int
    rounds: int
    clock: str
    forward_ms: float
    forward_x: float
    step_ms: float
    step_x: float
    memory_mib: float | None = None
    memory_x: float | None = None
    load: float | None = None
    threads: str
    hardware: str
    commit: str
    date: str


def entries_of(report: ScalingReport) -> list[ScalingEntry]:
    """The lines of a report, series by series."""
    series = report.series()
    return [
        _entry(report, point, series[point.program, point.room][0]) for point in report.in_series()
    ]


def _entry(report: ScalingReport, point: ScalingPoint, first: ScalingPoint) -> ScalingEntry:
    where, setting = report.environment, report.setting
    mine, least = point.mebibytes, first.mebibytes
    return ScalingEntry(
        program=point.program,
        room=point.room,
        objects=point.objects,
        parameters=point.parameters,
        batch=setting["batch"],
        frames=setting["frames"],
        rounds=setting["rounds"],
        clock=setting["clock"],
        forward_ms=round(1e3 * point.forward.median, 2),
        forward_x=round(point.forward.median / first.forward.median, 3),
        step_ms=round(1e3 * point.step.median, 2),
        step_x=round(point.step.median / first.step.median, 3),
        memory_mib=None if mine is None else round(mine, 1),
        memory_x=round(mine / least, 3) if mine and least else None,
        load=where["load"],
        threads=str(where["threads"]),
        hardware=hardware(where),
        commit=where["commit"],
        date=where["date"][:10],
    )
