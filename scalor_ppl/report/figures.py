"""The figures that a training logged."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from scalor_ppl.training.runs import METRICS


def read_figures(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics by rising step; none where the run has none.

    Of steps logged twice (after a crash) the later line counts.
    """
    path = run / METRICS
    by_step: dict[int, dict[str, Any]] = {}
    for line in path.read_text().splitlines() if path.is_file() else []:
        with suppress(json.JSONDecodeError, KeyError, TypeError):  # cut short by a crash
            figures = json.loads(line)
            by_step[int(figures["step"])] = figures
    return [by_step[step] for step in sorted(by_step)]
