"""Events and joins in files of tracks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tracking_helpers import Interrupter

from scalor_ppl.errors import UserError
from scalor_ppl.identity.meetings import KINDS
from scalor_ppl.programs import Program
from scalor_ppl.tracking import Tracked, track_to_files, track_video
from scalor_ppl.tracking.events import EventOutput
from scalor_ppl.tracking.identify import joined_stream
from scalor_ppl.tracking.table import rows_of

pytest_plugins = "tracking_fixtures"


@pytest.fixture(scope="module")
def stream(program: Program, video: Path) -> list[Tracked]:
    return list(track_video(program, video))


def broken(stream: list[Tracked], identity: int, begin: int, end: int, anew: int) -> list[Tracked]:
    """The same tracks, of which one is out of sight from `begin` to `end`, then has another number.

    Numbers given later make room for it.
    """
    parts = []
    for part in stream:
        ids = part.tracks.ids.copy()
        ids[ids >= anew] += 1
        number = part.numbers[:, None]
        mine = ids == identity
        ids[mine & (number >= begin) & (number < end)] = -1
        ids[mine & (number >= end)] = anew
        parts.append(replace(part, tracks=replace(part.tracks, ids=ids), trackers=ids))
    return parts


def longest(stream: list[Tracked]) -> int:
    """The identity that is seen most."""
    ids = np.concatenate([part.tracks.ids.ravel() for part in stream])
    return int(np.bincount(ids[ids >= 0]).argmax())


def test_a_gap_is_joined_and_said(stream: list[Tracked], tmp_path: Path) -> None:
    identity = longest(stream)
    anew = 1 + max(int(p.tracks.ids[p.numbers < 30].max(initial=-1)) for p in stream)
    parts = list(joined_stream(broken(stream, identity, 26, 30, anew)))
    rows = pd.DataFrame(np.concatenate([rows_of(part, 0.5) for part in parts]))
    mine = rows[rows["id"] == identity]
    assert {25, 30} <= set(mine["frame"]) - {26, 27, 28, 29}
    assert anew not in set(rows["id"])
    at = mine.set_index("frame")["link"]
    assert 0.5 < at[30] < 1
    assert (at[at.index < 30] == 1).all()
    output = EventOutput(tmp_path / "a.csv", 0.5)
    for part in parts:
        output.add(part)
    output.close()
    events = pd.read_csv(tmp_path / "a.csv.part")
    (join,) = events[(events["kind"] == "join") & (events["frame"] == 30)].itertuples()
    assert (join.frame, join.id, join.other) == (30, identity, anew)
    assert join.probability == pytest.approx(at[30], abs=1e-4)
    assert set(events["kind"]) <= set(KINDS)


def test_events_of_an_interrupted_tracking(program: Program, video: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    track_to_files(program, video, whole / "a.csv", events=whole / "e.csv", chunk=6)
    resume = False
    for after in (12, 24):
        outcome = track_to_files(
            program,
            video,
            parts / "a.csv",
            events=parts / "e.csv",
            chunk=6,
            resume=resume,
            watcher=Interrupter(after),
        )
        assert outcome.interrupted
        resume = True
    track_to_files(program, video, parts / "a.csv", events=parts / "e.csv", chunk=6, resume=True)
    for name in ("a.csv", "e.csv"):
        assert (whole / name).read_text() == (parts / name).read_text()
    events = pd.read_csv(whole / "e.csv")
    assert events.columns.tolist() == ["kind", "frame", "id", "other", "probability"]
    # Sprites cross: there is something to tell, in the order of time, of those who are there.
    assert {"meet", "part"} <= set(events["kind"])
    rows = pd.read_csv(whole / "a.csv")
    met = events[events["kind"] == "meet"]
    there = set(zip(rows["frame"], rows["id"], strict=True))
    assert set(zip(met["frame"], met["id"], strict=True)) <= there
    assert set(zip(met["frame"], met["other"], strict=True)) <= there
    with pytest.raises(UserError, match=r"--events .*e.txt: end it in .csv"):
        track_to_files(program, video, tmp_path / "a.csv", events=tmp_path / "e.txt")
