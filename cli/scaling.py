"""``scalor-ppl scaling``: time and memory of programs against the number of objects."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from scalor_ppl.cli.options import PLAIN, Device, Threads, check_figure
from scalor_ppl.cli.tables import print_table, ruled_table, shown
from scalor_ppl.errors import UserError
from scalor_ppl.files import written_whole
from scalor_ppl.results.locks import owned

if TYPE_CHECKING:
    from scalor_ppl.config.schema import Config
    from scalor_ppl.studies.benchmark.results import Quartiles
    from scalor_ppl.studies.benchmark.scaling import ScalingPoint, ScalingReport
    from scalor_ppl.studies.benchmark.scaling_lines import ScalingEntry


def scaling(
    programs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Each a program's name, a preset's, or a TOML file; all programs.",
            show_default=False,
        ),
    ] = None,
    objects: Annotated[
        str, typer.Option(help="Numbers of objects, separated by commas.")
    ] = "4,8,16,32,64",
    batch: Annotated[int, typer.Option(min=1, help="Videos a step.")] = 4,
    frames: Annotated[int, typer.Option(min=1, help="Frames a video.")] = 10,
    rounds: Annotated[int, typer.Option(min=1, help="Repetitions of each measurement.")] = 5,
    clock: Annotated[
        str,
        typer.Option(
            help="wall, or processor: what it worked for this, on a machine that is busy."
        ),
    ] = "wall",
    memory: Annotated[
        bool, typer.Option(help="Peak memory too, each in a process of its own.")
    ] = True,
    figure: Annotated[
        Path | None, typer.Option(help="Picture, NAME.png.", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option("--json", help="Write all figures here.")] = None,
    results: Annotated[
        Path | None,
        typer.Option(help="Ledger to add a line for each point to, .jsonl.", show_default=False),
    ] = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Time a forward pass and a training step, and take peak memory, against the objects present.

    All programs are measured in one run, in turns. With constant room only the number of objects
    differs; with exact room a program has room for them and no more, as in the paper's figure 8.
    Frames, videos and networks stay as they are.
    """
    from scalor_ppl.studies.benchmark.scaling import measure_scaling
    from scalor_ppl.studies.benchmark.scaling_figure import draw_scaling
    from scalor_ppl.studies.benchmark.scaling_lines import ScalingEntry, entries_of
    from scalor_ppl.studies.ledger import append_entry, check_ledger
    from scalor_ppl.training.devices import pick_device

    check_figure("--figure", figure)
    if results is not None:
        check_ledger(results, ScalingEntry)
    counts = parse_counts(objects)
    configs = configurations(programs)
    with owned(out, figure):
        with Console(stderr=True).status("scaling") as status:
            report = measure_scaling(
                configs,
                counts,
                batch=batch,
                frames=frames,
                rounds=rounds,
                device=pick_device(device),
                threads=threads,
                clock=clock,
                memory=memory,
                say=status.update,
            )
        show_scaling(report)
        if out is not None:
            with written_whole(out) as path:
                path.write_text(json.dumps(report.to_dict(), indent=2) + "\n")
        if results is not None:
            for entry in entries_of(report):
                append_entry(results, entry)
        if figure is not None:
            draw_scaling(report, figure)
            Console().print(str(figure), **PLAIN)


def parse_counts(text: str) -> tuple[int, ...]:
    """``4,8,16`` as numbers, each once, from few to many.

    Raises:
        UserError: something else, or fewer than two.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UserError(f"--objects {text}: give numbers from 1 separated by commas, e.g. 4,16,64")
    counts = tuple(sorted({int(part) for part in parts}))
    if len(counts) < 2:
        raise UserError(f"--objects {text}: give two numbers at least, to compare")
    return counts


def configurations(programs: list[str] | None) -> "dict[str, Config]":
    """Configurations by what they are called by: a program's, a preset's, or a file's name.

    Raises:
        UserError: one is none of these, or is given twice.
    """
    from scalor_ppl.config.settings import nearest, preset_names
    from scalor_ppl.programs.configuration import checked, resolve
    from scalor_ppl.programs.registry import PROGRAMS

    found = {}
    for given in programs or list(PROGRAMS):
        name = Path(given).stem if given.endswith(".toml") else given
        if name in found:
            raise UserError(f"{name} is given twice: leave one out, or call the file otherwise")
        if given in PROGRAMS:
            model, guide = PROGRAMS[given]
            found[name] = checked({"model_file": model, "guide_file": guide})
        elif given in preset_names() or given.endswith(".toml"):
            found[name] = resolve(given, [], {})
        else:
            near = nearest(name, [*PROGRAMS, *preset_names()])
            raise UserError(f"{name} is no program, preset or TOML file{near}")
    return found


def show_scaling(report: "ScalingReport") -> None:
    """Print a row for each program, kind of room and number of objects."""
    from scalor_ppl.studies.benchmark.scaling_lines import entries_of

    where, setting = report.environment, report.setting
    Console(highlight=False).print(
        f"{where['processor']} ({where['device']}), torch {where['torch']}, {where['threads']} "
        f"threads, load before {where['load']}, {where['date']}\n"
        f"batch {setting['batch']}, {setting['frames']} frames, medians of {setting['rounds']} "
        f"rounds in turns, {setting['clock']} clock; x is how many times as much as with the "
        "fewest objects",
        soft_wrap=True,
    )
    lines = entries_of(report)
    for name, room in dict.fromkeys((line.program, line.room) for line in lines):
        own = [
            (line, point)
            for line, point in zip(lines, report.in_series(), strict=True)
            if (line.program, line.room) == (name, room)
        ]
        print_table(_series(f"{name}, {room}", own))


def _series(title: str, points: "list[tuple[ScalingEntry, ScalingPoint]]") -> Table:
    """The table of one series."""
    table = ruled_table(title, "objects")
    times = ("forward [ms]", "quartiles", "x", "step [ms]", "quartiles", "x")
    for head in ("parameters", *times, "memory [MiB]", "x"):
        table.add_column(head, justify="right")
    for line, point in points:
        table.add_row(
            str(line.objects),
            f"{line.parameters:,}",
            f"{line.forward_ms:.1f}",
            _quartiles(point.forward),
            f"{line.forward_x:.2f}",
            f"{line.step_ms:.1f}",
            _quartiles(point.step),
            f"{line.step_x:.2f}",
            shown(line.memory_mib, ".0f"),
            shown(line.memory_x, ".2f"),
        )
    return table


def _quartiles(spread: "Quartiles") -> str:
    return f"{1e3 * spread.low:.1f} - {1e3 * spread.high:.1f}"
