"""Progress of long work, as a person wants to see it: of training, and of tracking."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from scalor_ppl.cli.options import INTERRUPTED, PLAIN
from scalor_ppl.errors import UserError

if TYPE_CHECKING:
    from scalor_ppl.config.schema import Config
    from scalor_ppl.data import ClipSource
    from scalor_ppl.parallel.ranks import Ranks
    from scalor_ppl.programs import Program
    from scalor_ppl.training.loop import Outcome
    from scalor_ppl.training.parts import Part

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

    def tell(self, done: int, total: int, figures: str) -> None:
        """Move the bar, which is shown from the first call on, and change the figures beside it."""
        if not self.progress.live.is_started:
            self.show(done, total)
        self.progress.update(self.task, completed=done, total=total, figures=figures)

    def move(self, done: int, figures: str) -> None:
        """Move the bar, and change the figures beside it."""
        self.progress.update(self.task, completed=done, figures=figures)


class TrainingBar(Bar):
    """Shows a bar with the figures of the last logged step."""

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

    def pictured(self, step: int, program: Any) -> None:
        """Nothing: pictures are files."""


class TrackingBar(Bar):
    """Shows a bar with the frames that are done, their rate, and the objects in view."""

    def __init__(self, console: Console) -> None:
        # The line of figures at the end says it all; in a log, it alone.
        super().__init__(console, figures="frames", transient=True, disable=not console.is_terminal)
        self.console = console
        self.before = 0
        self.since = 0.0

    def warned(self, message: str) -> None:
        """Say it on a line of its own."""
        self.console.print("note:", message, **PLAIN)

    def began(self, done: int, total: int | None) -> None:
        """Show the bar."""
        self.before, self.since = done, time.perf_counter()
        self.show(done, total)

    def stepped(self, done: int, objects: int) -> None:
        """Move the bar."""
        rate = (done - self.before) / (time.perf_counter() - self.since)
        self.move(done, f"frames {rate:.1f}/s, {objects} object{'' if objects == 1 else 's'},")


def shown_training(
    config: "Config",
    out: Path,
    *,
    device: str,
    source: "ClipSource | None" = None,
    resume: bool = False,
    also: "Callable[[int, Program], None] | None" = None,
    ranks: "Ranks | None" = None,
) -> "Outcome":
    """Train with a bar on standard error, and say there how it ended; see `start_training`."""
    from scalor_ppl.parallel.ranks import ALONE
    from scalor_ppl.training.start import start_training

    ranks = ranks or ALONE
    with TrainingBar(Console(stderr=True), config.train.steps) as bar:
        outcome = start_training(
            config,
            out,
            device=device,
            source=source,
            resume=resume,
            watcher=bar,
            also=also,
            ranks=ranks,
        )
    if not ranks.first:
        return outcome
    say(f"{outcome.step} steps, {out}")
    if outcome.skipped:
        say(f"{outcome.skipped} steps were skipped: loss or gradient was not finite")
    return outcome


def show_part_training(
    part: "Part", run: Path, config: "Config", out: Path, *, device: str
) -> None:
    """Train a part of a run with a bar on standard error, and say there how it ended."""
    from scalor_ppl.training.parts import train_part

    with Bar(Console(stderr=True)) as bar:
        record = train_part(part, run, config, out, device=device, tell=bar.tell)
    # Seconds are kept to a tenth: of a few steps they are 0.
    rate = record.steps / max(record.seconds, 0.1)
    done = f"{part}: {record.steps} steps ({rate:.1f}/s) at draws of {record.clips} clips"
    before, after = record.before, record.after
    if part == "priors":
        nats = [sum(each.values()) for each in (before, after)]
        say(f"{done}; -log p(z) {nats[0]:.2f} -> {nats[1]:.2f} nats a frame, {out}")
        if record.note:
            say(record.note)
        return
    if part == "guide":
        clips, videos = (f"{before[of]:.1f} -> {after[of]:.1f}" for of in ("objective", "places"))
        done = f"guide: {record.steps} steps ({rate:.1f}/s), {record.clips} videos sampled"
        say(f"{done}; -objective {clips}, -log q(z_pres, z_where) {videos} nats a frame, {out}")
        say(f"calibrate it anew: scalor-ppl evaluate {out} --calibrate")
        return
    mse = f"MSE {before['mse']:.2e} -> {after['mse']:.2e}"
    if part == "background":
        mse = f"-bound {before['bound']:.1f} -> {after['bound']:.1f} nats a frame, {mse}"
    say(f"{done}; {mse}, {out}")
    if part == "background":
        say(f"its prior begins anew: scalor-ppl train --only priors --from {out} --out ...")


def show_last_phase(run: Path, device: str, *, go_on: str) -> None:
    """Train the priors of a run that has ended; what stands in their way is told, no failure.

    Args:
        run: its folder.
        device: as `pick_device` takes it.
        go_on: command that goes on where Ctrl-C has ended it.

    Raises:
        typer.Exit: that has ended it; the run is as it was.
    """
    from scalor_ppl.training.runs import run_config

    try:
        show_part_training("priors", run, run_config(run), run, device=device)
    except UserError as error:
        say(f"its priors stay as the training left them: {error}")
    except KeyboardInterrupt:
        say(f"interrupted; go on with: {go_on}")
        raise typer.Exit(INTERRUPTED) from None


def say(message: str) -> None:
    """A line on standard error, as it is."""
    Console(stderr=True).print(message, **PLAIN)
