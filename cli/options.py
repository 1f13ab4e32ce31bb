"""Options and exit codes that several commands share."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from scalor_ppl.errors import UserError

INTERRUPTED = 130
"""Exit code after an interruption: what shells give for a program that Ctrl-C ended."""
FIGURES = (".png", ".svg", ".pdf")
"""Endings of pictures that are drawn."""
PLAIN: Any = {"highlight": False, "markup": False, "soft_wrap": True}
"""How to print what has paths in it: as they are, brackets too, on one line."""

Run = Annotated[Path, typer.Argument(help="Folder of a trained run.", show_default=False)]
LabelledRuns = Annotated[
    list[str], typer.Argument(help="Runs, each as LABEL=FOLDER or FOLDER.", show_default=False)
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="a.b=VALUE", help="Override one setting; may be repeated."),
]
ConfigName = Annotated[
    str | None, typer.Option("--config", help="Preset name, or a TOML file.", metavar="NAME|FILE")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Seed = Annotated[int, typer.Option(min=0, help="Of everything random.")]
Seeds = Annotated[str, typer.Option(help="Seeds, separated by commas.")]
Jobs = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Processes that work side by side on this machine (needs Dask).",
        show_default="1",
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        help="Work on the workers of this Dask scheduler.", metavar="ADDRESS", show_default=False
    ),
]
DataFolder = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Folder of the MNIST IDX files, for sets of digits."),
]
Temperature = Annotated[
    float,
    typer.Option(min=0, max=1, help="Factor of the noise of what is sampled; 1 is the program's."),
]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads; torch's choice by default.")]

Refine = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Steps of gradient that better a frame's where and what; the run's own by default.",
        show_default=False,
    ),
]

Compile = Annotated[
    bool,
    typer.Option(
        "--compile",
        help="Compile the refinement at first use: for many frames; it needs a C++ compiler.",
    ),
]


Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Run code that the run's folder or a TOML file names, from now on. Else only what "
        "ships with scalor-ppl, or you named in a training on this machine, is run.",
    ),
]


def opens_runs(command: Callable[..., None]) -> Callable[..., None]:
    """A command with the option ``--trust``: it reads what may name somebody else's code."""

    @wraps(command)
    def trusted(*arguments: Any, trust: bool = False, **options: Any) -> None:
        if not trust:
            return command(*arguments, **options)
        from scalor_ppl.programs.trust import trusting

        with trusting():
            return command(*arguments, **options)

    extra = Parameter("trust", Parameter.KEYWORD_ONLY, default=False, annotation=Trust)
    own = signature(command)
    changed = own.replace(parameters=[*own.parameters.values(), extra])
    vars(trusted)["__signature__"] = changed
    trusted.__annotations__ = {**command.__annotations__, "trust": Trust}
    return trusted


def check_figure(option: str, path: Path | None) -> None:
    """Refuse names of pictures that are in no known format.

    Raises:
        UserError: with the endings that are.
    """
    if path is not None and path.suffix not in FIGURES:
        raise UserError(f"{option} {path}: end it in {', '.join(FIGURES)}")


def refuse_given(options: Mapping[str, Any], reason: str) -> None:
    """Refuse an option that has no meaning here.

    Args:
        options: values by the options' names; none was not given.
        reason: why, as the rest of a sentence that begins with the option.

    Raises:
        UserError: one is given.
    """
    for name, value in options.items():
        if value is not None:
            raise UserError(f"{name} {reason}")


def use_threads(threads: int | None) -> None:
    """Let torch use so many CPU threads."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def parse_seeds(text: str) -> list[int]:
    """``0,1,2`` as numbers."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise UserError(f"--seeds {text}: give numbers separated by commas, e.g. 0,1,2")
    seeds = [int(part) for part in parts]
    if len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds {text}: one is there twice, which would count twice")
    return seeds


def labelled(runs: Sequence[str]) -> dict[str, Path]:
    """Folders of ``LABEL=FOLDER`` or ``FOLDER`` by label.

    What is there as it is written is a folder, whatever its name; so is what has a slash before
    the first ``=``, as no label has one.

    Raises:
        UserError: two have one label.
    """
    folders: dict[str, Path] = {}
    for text in runs:
        label, equals, folder = text.partition("=")
        # A folder may have a "=" of its own, as sweeps name theirs: lr=0.1/run.
        if not equals or "/" in label or Path(text).exists():
            label = folder = text
        if label in folders:
            raise UserError(f"two runs are called {label}: name them, each as LABEL=FOLDER")
        folders[label] = Path(folder)
    return folders


def nested(**settings: Any) -> dict[str, Any]:
    """``train__steps=5`` as ``{"train": {"steps": 5}}``, to any depth."""
    result: dict[str, Any] = {}
    for name, value in settings.items():
        *tables, key = name.split("__")
        inside = result
        for table in tables:
            inside = inside.setdefault(table, {})
        inside[key] = value
    return result
