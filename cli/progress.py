"""Progress of training, as a person wants to see it."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from scalor_ppl.config import Config
from scalor_ppl.inference.pictures import snapshot
from scalor_ppl.inference.runs import Program
from scalor_ppl.inference.sources import open_data
from scalor_ppl.inference.training import frames_needed

# Shown beside the bar; the rest is in metrics.jsonl.
SHOWN = {"loss": ".0f", "objects": ".1f", "discoveries": ".1f"}


class Reporter:
    """Shows a bar with the figures of the last logged step, and writes pictures."""

    def __init__(self, console: Console, config: Config, run: Path) -> None:
        self.config = config
        self.run = run
        self.source = open_data(config.data, "test")
        self.progress = Progress(
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
        )
        self.task = self.progress.add_task("training", total=config.train.steps, figures="")

    def __enter__(self) -> "Reporter":
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.progress.stop()

    def stepped(self, step: int, figures: Mapping[str, float]) -> None:
        """Move the bar."""
        text = " ".join(f"{k} {figures[k]:{f}}" for k, f in SHOWN.items() if k in figures)
        rate = step / figures["seconds"]
        self.progress.update(self.task, completed=step, figures=f"{text} {rate:.1f}/s")

    def pictured(self, step: int, program: Program) -> None:
        """Write a contact sheet of a clip that is not trained on."""
        frames = frames_needed(self.config.train)
        snapshot(program, self.source, frames, self.run / "images" / f"step_{step:07d}.png")
