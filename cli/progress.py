"""Progress of long work, as a person wants to see it, and that of training."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from scalor_ppl.config.schema import Config
from scalor_ppl.data import ClipSource
from scalor_ppl.inference.pictures import snapshot
from scalor_ppl.training.loop import frames_needed
from scalor_ppl.training.runs import Program
from scalor_ppl.training.sources import open_unseen

# Shown beside the bar; the rest is in metrics.jsonl.
SHOWN = {
    "loss": ".0f",
    "log_likelihood": ".0f",
    "kl": ".0f",
    "objects": ".1f",
    "discoveries": ".1f",
}
SHORT = {"log_likelihood": "ll", "discoveries": "disc", "objects": "obj"}


class Bar:
    """A bar with figures beside it; it stops with the block that it is used in.

    Args:
        console: where it is shown.
        total: what there is to do; none where nobody knows.
        figures: shown beside it at first.
        transient: it vanishes when it stops.
        disable: it is never shown.
    """

    def __init__(
        self,
        console: Console,
        total: int | None = None,
        *,
        figures: str = "",
        transient: bool = False,
        disable: bool = False,
    ) -> None:
        self.progress = Progress(
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            transient=transient,
            disable=disable,
        )
        self.task = self.progress.add_task("", total=total, figures=figures)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A bar that was never shown would leave an empty line in a log.
        if self.progress.live.is_started:
            self.progress.stop()

    def show(self, done: int, total: int | None = None) -> None:
        """Show the bar; until now something may be wrong, and an error is a line of its own.

        Args:
            done: what was done before.
            total: what there is to do, where that is known only now.
        """
        self.progress.update(self.task, completed=done, total=total)
        self.progress.start()

    def move(self, done: int, figures: str) -> None:
        """Move the bar, and change the figures beside it."""
        self.progress.update(self.task, completed=done, figures=figures)


class Reporter(Bar):
    """Shows a bar with the figures of the last logged step, and writes pictures."""

    def __init__(
        self,
        console: Console,
        config: Config,
        run: Path,
        source: ClipSource,
        also: Callable[[int, Program], None] | None = None,
    ) -> None:
        super().__init__(console, config.train.steps)
        self.config = config
        self.run = run
        self.also = also
        self.source = open_unseen(config.data, source)

    def began(self, step: int) -> None:
        """Show the bar."""
        self.show(step)

    def stepped(self, step: int, figures: Mapping[str, float]) -> None:
        """Move the bar."""
        parts = [value for name, value in figures.items() if name.startswith("kl_")]
        shown = {**figures, "kl": sum(parts)} if parts else figures
        text = " ".join(f"{SHORT.get(k, k)} {shown[k]:{f}}" for k, f in SHOWN.items() if k in shown)
        rate = step / figures["seconds"]
        self.move(step, f"{text} {rate:.1f}/s")

    def pictured(self, step: int, program: Program) -> None:
        """Write a contact sheet of a clip that is not trained on, where there are such."""
        frames = frames_needed(self.config.train)
        snapshot(program, self.source, frames, self.run / "images" / f"step_{step:07d}.png")
        if self.also is not None:
            self.also(step, program)
