"""The arithmetic of the lines of table 2 that the repository keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from scalor_ppl.studies.ledger import read_ledger
from scalor_ppl.studies.systems.entries import SystemEntry
from scalor_ppl.studies.systems.judge import floor_of
from scalor_ppl.studies.systems.table import ClipSet, read_table
from scalor_ppl.studies.tables import last_by

LINES = Path(__file__).parents[2] / "results" / "table-2.jsonl"
TABLE = read_table("table-2")
ENTRIES = read_ledger(LINES, SystemEntry)
SIDE = 64  # of a frame, pixels
ROUNDED = 2e-6  # figures are kept with six decimals


def name_of(entry: SystemEntry) -> str:
    return f"{entry.set}, {entry.system}, {entry.scored_by}"


def clip_set(entry: SystemEntry) -> ClipSet:
    (found,) = [clips for clips in TABLE.sets.values() if clips.title == entry.set]
    return found


@pytest.mark.parametrize("entry", ENTRIES, ids=name_of)
def test_a_line_is_the_sum_of_its_parts(entry: SystemEntry) -> None:
    values = round(entry.nll_floor / floor_of(entry.sigma, 1))
    channels = values / entry.frames
    assert channels in (1, 3)
    assert entry.nll_floor == pytest.approx(floor_of(entry.sigma, values), abs=ROUNDED)
    # The bound of a clip is kept to a tenth of a nat.
    assert entry.nll_bound == pytest.approx(-entry.bound / SIDE**2, abs=0.1 / SIDE**2)
    assert entry.nll_misfit is not None
    assert entry.nll_rest is not None
    parts = entry.nll_floor + entry.nll_misfit + entry.nll_rest
    assert parts == pytest.approx(entry.nll_bound, abs=ROUNDED)
    # Else there was no misfit.
    assert entry.nll_bound > entry.nll_floor
    if entry.nll_latents is not None and entry.nll_drawn is not None:
        # The best of many draws is no worse than the mean of a few, but for chance.
        assert entry.nll_rest <= entry.nll_latents + entry.nll_drawn + 0.05


@pytest.mark.parametrize("entry", ENTRIES, ids=name_of)
def test_a_line_belongs_to_its_column(entry: SystemEntry) -> None:
    assert entry.sigma == clip_set(entry).sigma
    assert entry.system in {system.title for system in TABLE.systems.values()}
    assert entry.frames == TABLE.frames
    assert 1 <= entry.ess <= entry.particles


def test_differences_are_those_of_the_bounds_on_the_same_clips() -> None:
    """As the table shows them: to the line of the first system that counts now."""
    lines = [entry.model_dump() for entry in ENTRIES]
    shown = [SystemEntry(**line) for line in last_by(lines, ("set", "system", "seed"))]
    first = {(each.set, each.system): each for each in shown if each.over is None}
    compared = [each for each in shown if each.over is not None]
    for entry in compared:
        other = first[entry.set, str(entry.over)]
        assert (entry.clips, entry.bound_clips) == (other.clips, other.bound_clips)
        assert entry.nll_over == pytest.approx(entry.nll_bound - other.nll_bound, abs=5e-3)
        assert entry.nll_over_error is not None
        # Clips that are hard for one are hard for the other, as a rule.
        assert entry.nll_over_error >= 0
