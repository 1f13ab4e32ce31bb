"""``scalor-ppl bench``: what a training step costs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scalor_ppl.cli.bench_turns import show_turns
from scalor_ppl.cli.options import PLAIN, ConfigName, Device, Refine, Settings, Threads, nested
from scalor_ppl.cli.tables import print_table
from scalor_ppl.errors import UserError
from scalor_ppl.results.locks import owned

if TYPE_CHECKING:
    from scalor_ppl.studies.benchmark.results import Quartiles, Report, StepOperations

MIB = 2**20


def bench(
    model: Annotated[
        str | None, typer.Option(help="A program's name, or its model's file or module.")
    ] = None,
    guide: Annotated[
        str | None, typer.Option(help="Guide's file or module; a named program's by default.")
    ] = None,
    config: ConfigName = None,
    settings: Settings = None,
    batch: Annotated[int, typer.Option(help="Videos a step.")] = 4,
    frames: Annotated[int, typer.Option(help="Frames a video.")] = 10,
    steps: Annotated[int, typer.Option(help="Repetitions of each measurement.")] = 10,
    device: Device = "auto",
    threads: Threads = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write all figures to this file.")
    ] = None,
    objects: Annotated[
        bool | None,
        typer.Option(
            "--objects/--no-objects",
            help="Time against the number of objects present.",
            show_default="where the program can",
        ),
    ] = None,
    sizes: Annotated[bool, typer.Option(help="Time against the image size.")] = True,
    ops: Annotated[
        bool, typer.Option("--ops", help="Only count the operations of a step; time nothing.")
    ] = False,
    compiled: Annotated[
        bool,
        typer.Option("--compiled", help="Only a step as it is and by graphs, in turns."),
    ] = False,
    run: Annotated[
        Path | None,
        typer.Option(help="Only a run's inference, with --refine, as it is and compiled."),
    ] = None,
    refine: Refine = None,
) -> None:
    """Measure the time and memory of a training step, of its parts, and Pyro's share of it.

    Without --config it is the program's defaults that are measured.
    """
    from scalor_ppl.programs.configuration import resolve
    from scalor_ppl.programs.registry import files_of
    from scalor_ppl.studies.benchmark.run import (
        filled,
        operations_of,
        run_benchmark,
        torch_threads,
    )
    from scalor_ppl.studies.benchmark.turns import inference_in_turns, step_in_turns
    from scalor_ppl.training.devices import pick_device

    console, where = Console(), pick_device(device)
    if run is not None:
        with owned(json_file), torch_threads(threads):
            ways = inference_in_turns(run, refine or 50, frames=frames, rounds=steps, device=where)
            show_turns(f"{run}: {frames} frames of one video", ways, where, json_file)
        return
    model, guide = files_of(model, guide)
    chosen = resolve(config, settings or (), nested(model_file=model, guide_file=guide))
    if ops:
        if json_file is not None:
            raise UserError("--ops prints a table only: leave out --json, or --ops")
        counted = operations_of(chosen, batch=batch, frames=frames, device=where)
        print_table(_operations(counted), console)
        return
    if compiled:
        with owned(json_file), torch_threads(threads):
            ways = step_in_turns(
                filled(chosen), batch=batch, frames=frames, rounds=steps, device=where
            )
            show_turns(
                f"A step without its optimizer, {batch} x {frames} frames", ways, where, json_file
            )
        return
    with owned(json_file):
        with console.status("measuring") as status:
            report = run_benchmark(
                chosen,
                batch=batch,
                frames=frames,
                steps=steps,
                device=where,
                threads=threads,
                objects=objects,
                sizes=sizes,
                say=lambda message: status.update(f"measuring {message}"),
            )
        show(report, console)
        if json_file is not None:
            report.write(json_file)
            console.print(f"all figures are in {json_file}", **PLAIN)


def show(report: "Report", console: Console) -> None:
    """Print a report as tables."""
    where, setting = report.environment, report.setting
    model = setting["config"]["model"]
    shape = f", {report.shape}" if report.shape else ""
    alive = "" if report.alive is None else f", {report.alive:.1f} alive"
    console.print(
        f"{where['processor']} ({where['device']}), torch {where['torch']}, "
        f"{where['threads']} threads, load before {where['load']}, {where['date']}\n"
        f"{report.parameters['total']:,} parameters; batch {setting['batch']}, "
        f"{setting['frames']} frames of {model['height']} x {model['width']}{shape}{alive}"
    )
    for table in (
        _steps(report),
        _operations(report.operations),
        _parts(report),
        _objects(report),
        _sizes(report),
    ):
        if table.row_count:
            print_table(table, console)
    memory, pyro = report.memory, report.pyro
    console.print(
        f"peak memory ({memory.kind}): {memory.peak_bytes / MIB:,.0f} MiB, before the first step "
        f"{memory.before_bytes / MIB:,.0f} MiB"
    )
    console.print(f"a step takes {report.over_arithmetic:.1f} times as long as its arithmetic")
    share = pyro.note if pyro.share is None else f"{pyro.share:.1%}"
    console.print(f"Pyro's own share of a step: {share}")


def _steps(report: "Report") -> Table:
    table = _table("Step", "phase", "median [ms]", "quartiles [ms]", "share")
    total = report.step.total.median
    for phase in ("forward", "backward", "optimizer", "total"):
        spread = getattr(report.step, phase)
        table.add_row(phase, *_milliseconds(spread), f"{spread.median / total:.0%}")
    return table


def _operations(counted: "StepOperations") -> Table:
    table = _table("Operations of a step", "phase", "all", "kernels", "GFLOP")
    for phase in ("forward", "backward", "optimizer", "total"):
        own = getattr(counted, phase)
        table.add_row(phase, f"{own.total:,}", f"{own.kernels:,}", f"{own.flops / 1e9:.2f}")
    return table


def _parts(report: "Report") -> Table:
    table = _table("Forward pass by parts", "part", "median [ms]", "share")
    for part in report.parts:
        table.add_row(part.name, f"{1e3 * part.seconds:.1f}", f"{part.share:.0%}")
    return table


def _objects(report: "Report") -> Table:
    ratio = "" if report.objects_ratio is None else f" (last / first: {report.objects_ratio:.2f})"
    table = _table(f"Objects present{ratio}", "objects", "median [ms]", "quartiles [ms]")
    for each in report.objects:
        table.add_row(str(each.objects), *_milliseconds(each.seconds))
    return table


def _sizes(report: "Report") -> Table:
    table = _table("Image size", "pixels", "with", "median [ms]", "quartiles [ms]")
    for each in report.sizes:
        pixels = f"{each.height} x {each.width}"
        table.add_row(pixels, each.variant, *_milliseconds(each.seconds))
    return table


def _table(title: str, first: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(escape(first))
    for column in columns:
        table.add_column(escape(column), justify="right")
    return table


def _milliseconds(spread: "Quartiles") -> tuple[str, str]:
    return f"{1e3 * spread.median:.1f}", f"{1e3 * spread.low:.1f} - {1e3 * spread.high:.1f}"
