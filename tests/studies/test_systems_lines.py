"""The arithmetic of the lines of tables of systems that the repository keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from scalor_ppl.studies.ledger import read_ledger
from scalor_ppl.studies.systems.entries import SystemEntry
from scalor_ppl.studies.systems.judge import floor_of
from scalor_ppl.studies.systems.table import SystemsTable, read_table, table_names
from scalor_ppl.studies.tables import last_by

RESULTS = Path(__file__).parents[2] / "results"
TABLES = [read_table(name) for name in table_names()]
LINES = {table.name: RESULTS / f"{table.name}.jsonl" for table in TABLES}
KEPT = [
    (table, entry)
    for table in TABLES
    if LINES[table.name].is_file()
    for entry in read_ledger(LINES[table.name], SystemEntry)
]
SIDES = (64, 50)  # of frames, pixels
ROUNDED = 2e-6  # figures are kept with six decimals


@pytest.mark.parametrize(
    "entry", [entry for _, entry in KEPT], ids=lambda entry: f"{entry.set}, {entry.system}"
)
def test_a_line_is_the_sum_of_its_parts(entry: SystemEntry) -> None:
    values = round(entry.nll_floor / floor_of(entry.sigma, 1))
    channels = values / entry.frames
    assert channels in (1, 3)
    assert entry.nll_floor == pytest.approx(floor_of(entry.sigma, values), abs=ROUNDED)
    # The bound of a clip is kept to a tenth of a nat.
    assert any(
        entry.nll_bound == pytest.approx(-entry.bound / side**2, abs=0.1 / side**2)
        for side in SIDES
    )
    assert entry.nll_misfit is not None
    assert entry.nll_rest is not None
    parts = entry.nll_floor + entry.nll_misfit + entry.nll_rest
    assert parts == pytest.approx(entry.nll_bound, abs=ROUNDED)
    # Else there was no misfit.
    assert entry.nll_bound > entry.nll_floor
    if entry.nll_latents is not None and entry.nll_drawn is not None:
        # The best of many draws is no worse than the mean of a few, but for chance.
        assert entry.nll_rest <= entry.nll_latents + entry.nll_drawn + 0.05


@pytest.mark.parametrize(("table", "entry"), KEPT)
def test_a_line_belongs_to_its_column(table: SystemsTable, entry: SystemEntry) -> None:
    (clips,) = [clips for clips in table.sets.values() if clips.title == entry.set]
    assert entry.sigma == clips.sigma
    assert entry.system in {system.title for system in table.systems.values()}
    assert entry.frames == table.frames
    assert 1 <= entry.ess <= entry.particles


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_differences_are_those_of_the_bounds_on_the_same_clips(table: SystemsTable) -> None:
    """As the table shows them: to the line of the first system that counts now."""
    lines = [entry.model_dump() for each, entry in KEPT if each is table]
    shown = [SystemEntry(**line) for line in last_by(lines, ("set", "system", "seed"))]
    first = {(each.set, each.system): each for each in shown if each.over is None}
    for entry in shown:
        if entry.over is None:
            continue
        other = first[entry.set, entry.over]
        assert (entry.clips, entry.bound_clips) == (other.clips, other.bound_clips)
        assert entry.nll_over == pytest.approx(entry.nll_bound - other.nll_bound, abs=5e-3)
        assert entry.nll_over_error is not None
        assert entry.nll_over_error > 0
