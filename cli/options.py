"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Any

import typer

Run = Annotated[Path, typer.Argument(help="Folder of a trained run.", show_default=False)]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="a.b=VALUE", help="Override one setting; may be repeated."),
]
ConfigName = Annotated[
    str | None, typer.Option("--config", help="Preset name, or a TOML file.", metavar="NAME|FILE")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Seed = Annotated[int, typer.Option(min=0, help="Of everything random.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads; torch's choice by default.")]


def use_threads(threads: int | None) -> None:
    """Let torch use so many CPU threads."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def nested(**settings: Any) -> dict[str, Any]:
    """``train__steps=5`` as ``{"train": {"steps": 5}}``."""
    result: dict[str, Any] = {}
    for name, value in settings.items():
        table, _, key = name.partition("__")
        if key:
            result.setdefault(table, {})[key] = value
        else:
            result[table] = value
    return result
