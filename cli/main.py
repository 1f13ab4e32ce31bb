"""The command ``scalor-ppl``: its subcommands, and how errors reach the user."""

import os
import sys
import traceback
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer
from rich.console import Console

from scalor_ppl.cli import terminal
from scalor_ppl.cli.bench import bench
from scalor_ppl.cli.compare import compare
from scalor_ppl.cli.curves import curves
from scalor_ppl.cli.data import app as data_app
from scalor_ppl.cli.demo import demo
from scalor_ppl.cli.evaluate import evaluate
from scalor_ppl.cli.fit import fit
from scalor_ppl.cli.foresee import foresee
from scalor_ppl.cli.generate import generate
from scalor_ppl.cli.growth import growth
from scalor_ppl.cli.infer import infer
from scalor_ppl.cli.msd import msd
from scalor_ppl.cli.notes import show_notes
from scalor_ppl.cli.options import opens_runs
from scalor_ppl.cli.particles import particles
from scalor_ppl.cli.realism import realism
from scalor_ppl.cli.report import report
from scalor_ppl.cli.reproduce import reproduce
from scalor_ppl.cli.scaling import scaling
from scalor_ppl.cli.score import score
from scalor_ppl.cli.track import track
from scalor_ppl.cli.train import train
from scalor_ppl.cli.view import view
from scalor_ppl.errors import ElsewhereError, NotFiniteError, RankLostError, UserError
from scalor_ppl.files import refusal
from scalor_ppl.studies.allocator import keep_freed_memory

app = typer.Typer(
    name="scalor-ppl",
    help="SCALOR: unsupervised object-centric world models as a probabilistic program.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(opens_runs(fit))
app.command()(opens_runs(train))
app.command()(opens_runs(track))
app.command()(opens_runs(generate))
app.command()(opens_runs(infer))
app.command()(opens_runs(evaluate))
app.command()(score)
app.command()(msd)
app.command()(opens_runs(report))
app.command()(view)
app.command()(opens_runs(bench))
app.command()(opens_runs(scaling))
app.command()(opens_runs(growth))
app.command()(demo)
app.command()(opens_runs(reproduce))
app.command()(opens_runs(curves))
app.command()(opens_runs(compare))
app.command()(opens_runs(foresee))
app.command()(opens_runs(realism))
app.command()(opens_runs(particles))
app.add_typer(data_app, name="data")


def _versions(wanted: bool) -> None:
    """Print what runs, from the packages' own records: nothing of it is imported."""
    if not wanted:
        return
    for package in ("scalor-ppl", "torch", "pyro-ppl"):
        try:
            typer.echo(f"{package} {version(package)}")
        except PackageNotFoundError:
            typer.echo(f"{package} is not installed")
    raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_versions, is_eager=True, help="Show versions, exit."),
    ] = False,
) -> None:
    pass


def run() -> None:
    """Run the command line. Exit code 2 is the user's mistake, 1 is ours."""
    terminal.print_anything()
    keep_freed_memory()
    show_notes()
    try:
        app()
    except UserError as error:
        _say(str(error))
        sys.exit(2)
    except (NotFiniteError, RankLostError) as error:
        _say(str(error))
        sys.exit(1)
    except ElsewhereError as error:
        sys.exit(error.code)
    # Ctrl-C and a closed pipe are typer's: they end with 130 and 1.
    except Exception as error:
        reason = refusal(error)
        if reason is not None:  # of a file that is written step by step, such as a log
            place = getattr(error, "filename", None) or "a file"
            _say(f"cannot write or read {place}: {reason}; mend that, and begin or go on again")
            sys.exit(2)
        _say(f"this is a fault of scalor-ppl: {type(error).__name__}: {error}")
        if os.environ.get("SCALOR_PPL_TRACEBACK"):
            traceback.print_exc()
        else:
            _say("set SCALOR_PPL_TRACEBACK=1 to see where, and please report it")
        sys.exit(1)


def _say(message: str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False).print(
        "error:", " ".join(message.splitlines()), style="red", markup=False
    )
