"""Scores over the course of a training, and their picture."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from scalor_ppl.data import ClipSource
from scalor_ppl.errors import UserError
from scalor_ppl.inference.scoring import tracked
from scalor_ppl.programs import Program

CURVE = "curve.jsonl"


def recorder(
    run: Path, source: ClipSource, *, clips: int, frames: int = 10
) -> Callable[[int, Program], None]:
    """What scores a program that is being trained, and adds a line to the run's curve.

    Args:
        run: the run's folder.
        source: of clips that are neither trained on nor reported on.
        clips: how many.
        frames: length of each.
    """

    def record(step: int, program: Program) -> None:
        scores = tracked(program, source, clips=clips, frames=frames).scores
        figures = scores["standard"].to_dict() | {"plain_mota": scores["plain"].mota}
        with (run / CURVE).open("a") as file:
            file.write(json.dumps({"step": step} | figures) + "\n")

    return record


def read_curve(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's curve by step; of steps done twice (after a crash) the later ones.

    Raises:
        UserError: the run has none.
    """
    try:
        lines = (run / CURVE).read_text().splitlines()
    except OSError:
        raise UserError(
            f"{run} has no {CURVE}: experiments with a curve write one (scalor-ppl reproduce)"
        ) from None
    by_step = {}
    for line in lines:
        with suppress(json.JSONDecodeError):  # cut short by a crash
            figures = json.loads(line)
            by_step[figures["step"]] = figures
    return [by_step[step] for step in sorted(by_step)]


def draw_curves(
    curves: Mapping[str, Sequence[Mapping[str, Any]]], figures: Mapping[str, str], path: Path
) -> None:
    """Draw figures over training steps, one panel a figure, one line a run.

    Args:
        curves: lines of :func:`read_curve` by the run's label.
        figures: a panel's title by the figure's name.
        path: PNG, SVG or PDF to write.
    """
    from matplotlib.figure import Figure  # takes a second: only where it is wanted

    from scalor_ppl.files import written_whole

    sheet = Figure(figsize=(4 * len(figures), 3.6), layout="constrained")
    panels = sheet.subplots(1, len(figures), squeeze=False)[0]
    for panel, (name, title) in zip(panels, figures.items(), strict=True):
        for label, lines in curves.items():
            steps, values = [x["step"] for x in lines], [x[name] for x in lines]
            panel.plot(steps, values, label=label, linewidth=1.4)
        panel.set_title(title)
        panel.set_xlabel("steps")
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    sheet.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    with written_whole(path) as target:
        sheet.savefig(target, dpi=110)
