"""``scalor-ppl growth``: time and memory of a program as one thing at a time grows."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from scalor_ppl.cli.options import ConfigName, Settings, nested
from scalor_ppl.cli.tables import print_table, ruled_table

if TYPE_CHECKING:
    from scalor_ppl.studies.benchmark.growth import GrowthEntry

USUAL = ("frames=5,10,20,40", "batch=1,4,16", "size=64,128,256")


def growth(
    model: Annotated[
        str | None, typer.Option(help="A program's name, or its model's file or module.")
    ] = None,
    guide: Annotated[
        str | None, typer.Option(help="Guide's file or module; a named program's by default.")
    ] = None,
    config: ConfigName = None,
    settings: Settings = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            help="What grows, and through which values: frames, batch, size (of square frames), or "
            "a setting, such as model.grid=8x8,16x16; may be repeated.",
            metavar="NAME=VALUES",
            show_default=", ".join(USUAL),
        ),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Videos a step.")] = 4,
    frames: Annotated[int, typer.Option(min=1, help="Frames a video.")] = 5,
    rounds: Annotated[int, typer.Option(min=1, help="Repetitions of each measurement.")] = 5,
    results: Annotated[
        Path | None,
        typer.Option(help="Ledger to add a line for each point to, .jsonl.", show_default=False),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
) -> None:
    """Measure a forward pass, a training step and its peak memory as one thing at a time grows.

    On the CPU, by what the processor worked for it. Beside each figure stands how many times as
    much it is as at the first value, and how many times as much of the thing there is.
    """
    from scalor_ppl.programs.configuration import resolve
    from scalor_ppl.programs.registry import files_of
    from scalor_ppl.studies.benchmark.growth import GrowthEntry, Series, measure_growth
    from scalor_ppl.studies.ledger import append_entry, check_ledger

    if results is not None:
        check_ledger(results, GrowthEntry)
    series = [Series.parsed(text) for text in vary or USUAL]
    files = files_of(model, guide)
    chosen = resolve(config, settings or (), nested(model_file=files[0], guide_file=files[1]))
    name = Path(config).stem if config is not None else model or "scalor"
    with Console(stderr=True).status("growth") as status:
        for lines in measure_growth(
            name,
            chosen,
            series,
            batch=batch,
            frames=frames,
            rounds=rounds,
            threads=threads,
            say=status.update,
        ):
            print_table(growth_table(lines))
            for line in lines if results is not None else ():
                assert results is not None
                append_entry(results, line)


def growth_table(lines: "list[GrowthEntry]") -> Table:
    """The table of one series."""
    first = lines[0]
    fixed = {"batch": first.batch, "frames": first.frames}
    fixed.pop(first.quantity, None)
    told = ", ".join(f"{name} {value}" for name, value in fixed.items())
    table = ruled_table(f"{first.program}, {told}", first.quantity, "times")
    for head in ("forward [ms]", "times", "step [ms]", "times", "memory [MiB]", "times"):
        table.add_column(head, justify="right")
    for line in lines:
        table.add_row(
            line.value,
            f"{line.amount_x:g}",
            f"{line.forward_ms:.1f}",
            f"{line.forward_x:.2f}",
            f"{line.step_ms:.1f}",
            f"{line.step_x:.2f}",
            f"{line.memory_mib:.0f}",
            f"{line.memory_x:.2f}",
        )
    return table
