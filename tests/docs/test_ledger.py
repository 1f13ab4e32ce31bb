"""The ledger of results, and RESULTS.md as it is made of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny import CPU, CommandLine

from scalor_ppl.environment import environment
from scalor_ppl.errors import UserError
from scalor_ppl.evaluation import Scores
from scalor_ppl.studies.ledger import Entry, append_entry, read_entries, scored_entry
from scalor_ppl.studies.tables import (
    Column,
    LedgerRow,
    ResultTable,
    last_by,
    markdown,
    pages_with_tables,
    with_tables,
    worst_of,
)

ROOT = Path(__file__).parents[2]
COUNTS = {"id_switches": 1, "fragmentations": 0, "clips": 2, "frames": 20}


def an_entry(**changes: Any) -> Entry:
    """A line of dsprites-ld, 10 frames."""
    half: dict[str, Any] = dict.fromkeys(Scores.__dataclass_fields__, 0.5)
    rules = ("standard", "plain", "strict", "iou")
    scores = {
        rule: Scores(**half | COUNTS | {"mota": 0.9 - n / 10}) for n, rule in enumerate(rules)
    }
    part = environment(CPU) | {"commit": "abc", "threads": 1}
    known = {"experiment": "dsprites-ld", "trial": "10 frames", "seed": 7, "steps": 10}
    entry = scored_entry(scores, [part], minutes=1.2, scored_by="def", **known)
    return entry.model_copy(update=changes)


def test_tables_are_what_the_generator_makes_of_the_lines() -> None:
    pages = pages_with_tables(ROOT)
    assert {"RESULTS.md", "README.md"} <= {page.name for page in pages}
    for page in pages:
        assert with_tables(page.read_text(), ROOT / "results") == page.read_text(), "make results"


def test_a_line_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "ledger.jsonl"
    entry = an_entry()
    assert (entry.mota, entry.plain, entry.strict, entry.iou) == (0.9, 0.8, 0.7, 0.6)
    assert (entry.clips, entry.frames, entry.id_switches) == (2, 10, 1)
    assert (entry.commit, entry.scored_by, entry.threads) == ("abc", "def", "1")
    append_entry(path, entry)
    path.write_text(path.read_text().rstrip("\n"))  # an editor left the last line open
    append_entry(path, an_entry(seed=8, mota=None))
    assert read_entries(path) == [entry, an_entry(seed=8, mota=None)]
    # The same run by the same commit says nothing new; its minutes may be rounded otherwise.
    again = entry.model_copy(update={"minutes": entry.minutes + 0.1})
    assert not append_entry(path, again)
    assert append_entry(path, entry.model_copy(update={"scored_by": "another"}))
    assert len(read_entries(path)) == 3
    assert "mota" not in json.loads(path.read_text().splitlines()[1])


def test_a_figure_that_is_not_a_number_is_left_out(tmp_path: Path) -> None:
    half: dict[str, Any] = dict.fromkeys(Scores.__dataclass_fields__, float("nan"))
    scores = dict.fromkeys(("standard", "plain", "strict", "iou"), Scores(**half | COUNTS))
    known = {"experiment": "a", "trial": "b", "seed": 0, "steps": 1, "minutes": 1.0}
    entry = scored_entry(scores, [], scored_by="def", **known)
    assert (entry.mota, entry.mse, entry.hardware) == (None, None, "unknown")
    append_entry(tmp_path / "l.jsonl", entry)
    assert read_entries(tmp_path / "l.jsonl") == [entry]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2 is no JSON"),
        ("[1]", "line 2 is no JSON object"),
        ('{"experiment": "a"}', "line 2: trial: Field required"),
        ('{"moat": 1}', "line 2"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "ledger.jsonl"
    append_entry(path, an_entry())
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UserError, match=said):
        read_entries(path)


def test_the_worst_seed_counts_by_its_last_line() -> None:
    entries = [
        an_entry(seed=0, mota=0.1, mse=0.9),  # scored again below
        an_entry(seed=1, mota=0.8, mse=0.003, commit="quiet", minutes=3.0),
        an_entry(seed=0, mota=0.9, mse=0.004, minutes=9.0),
        an_entry(seed=2, trial="20 frames", mota=0.0),
    ]
    row = LedgerRow(title="LD", experiment="dsprites-ld", trial="10 frames")
    fields = worst_of(entries, row)
    assert (fields["mota"], fields["mse"], fields["minutes"]) == (0.8, 0.004, 9.0)
    assert (fields["seeds"], fields["limit"]) == (2, 15)
    assert (fields["paper_mota"], fields["target_plain"]) == (0.925, 0.94)
    assert worst_of(entries, row.model_copy(update={"minutes_of": "quiet"}))["minutes"] == 3.0
    with pytest.raises(UserError, match="no line of dsprites-md"):
        worst_of(entries, LedgerRow(title="MD", experiment="dsprites-md", trial="10 frames"))


def test_a_cell_is_empty_where_a_figure_is_missing() -> None:
    columns = (
        Column(heading="a", show="{a:.2f}", aside=" ({paper:.1f})"),
        Column(heading="b", show="{b[0]}"),
    )
    rows: list[dict[str, Any]] = [
        {"a": 1 / 3, "paper": 2.0, "b": ["x"]},
        {"a": 1.0, "paper": None},
        {"paper": 1.0},
    ]
    assert markdown(ResultTable(columns=columns), rows).splitlines() == [
        "| a | b |",
        "| --- | --- |",
        "| 0.33 (2.0) | x |",
        "| 1.00 |  |",
        "|  |  |",
    ]


PAGE = """# R

Words.

<!-- table: speed -->
| old |
<!-- end of table -->

More words.
"""


def results_folder(place: Path) -> Path:
    """A small folder of results."""
    folder = place / "results"
    append_entry(folder / "ledger.jsonl", an_entry())
    (folder / "speed.jsonl").write_text('{"run": 1, "ms": 10}\n\n{"run": 2, "ms": 30}\n')
    (folder / "tables.toml").write_text(
        "[tables.speed]\n"
        'lines = "speed.jsonl"\n'
        'median = "run"\n'
        'columns = [{heading = "run", show = "{run}"}, {heading = "ms", show = "{ms:.0f}"}]\n'
    )
    (place / "RESULTS.md").write_text(PAGE)
    return folder


def test_the_command_makes_the_page(cli: CommandLine, place: Path) -> None:
    results_folder(place)
    said = cli("reproduce", "--table")
    assert said.code == 0, said
    table = "| run | ms |\n| --- | --- |\n| 1 | 10 |\n| 2 | 30 |\n| median | 20 |"
    made = PAGE.replace("| old |", f"\n{table}\n")
    assert (place / "RESULTS.md").read_text() == made
    assert cli("reproduce", "--table").code == 0
    assert (place / "RESULTS.md").read_text() == made
    assert "--table trains nothing" in cli.refused("reproduce", "dsprites-ld", "--table")
    assert "end its name in .jsonl" in cli.refused(
        "reproduce", "dsprites-ld", "--results", "RESULTS.md"
    )


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("../RESULTS.md", PAGE.replace("speed", "sped"), "wants a table 'sped'"),
        ("../RESULTS.md", "# R\n", "has a place for a table"),
        ("tables.toml", "[tables.speed]\ncolumn = []", "tables.toml"),
        ("tables.toml", "[speed]", "tables.toml"),
        ("ledger.jsonl", "{}", "ledger.jsonl, line 1"),
        ("speed.jsonl", None, "cannot read"),
        ("tables.toml", None, "cannot read"),
    ],
)
def test_what_does_not_fit_is_refused_and_the_page_left(
    cli: CommandLine, place: Path, file: str, text: str | None, said: str
) -> None:
    folder = results_folder(place)
    if text is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(text)
    before = (place / "RESULTS.md").read_text()
    assert said in cli.refused("reproduce", "--table")
    assert (place / "RESULTS.md").read_text() == before


def test_the_last_line_of_a_row_counts_and_sets_stand_together() -> None:
    first = [
        {"set": "a", "system": "x", "nll": 1},
        {"set": "b", "system": "x", "nll": 2},
        {"set": "a", "system": "y", "nll": 3},
        {"set": "a", "system": "x", "nll": 4},
        {"set": "b", "nll": 5},
    ]
    found = last_by(first, ("set", "system"))
    assert [line["nll"] for line in found] == [4, 3, 2, 5]
