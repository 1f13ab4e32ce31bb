"""Formats of other programs: readers that are not ours see what the rows say."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import geff
import networkx as nx
import numpy as np
import pandas as pd
import pytest
import tifffile
from ctc_metrics.scripts.validate import validate_sequence
from ctc_metrics.utils.filesystem import read_tracking_file
from geff.convert import from_trackmate_xml_to_geff
from geff.core_io import read_to_memory
from geff.validate.data import ValidationConfig, validate_data
from pytrackmate import trackmate_peak_import
from tracking_helpers import Interrupter, with_data, write_frames

from scalor_ppl.errors import UserError
from scalor_ppl.files import folder_written_whole
from scalor_ppl.programs import Program
from scalor_ppl.tracking import Tracked, track_to_files, track_video
from scalor_ppl.tracking.challenge import Piece, pieces_of
from scalor_ppl.tracking.identify import joined_stream, recognised_stream
from scalor_ppl.tracking.masks import id_map, id_maps
from scalor_ppl.tracking.table import MEANING, rows_of

pytest_plugins = "tracking_fixtures"


@pytest.fixture(scope="module")
def stream(program: Program, video: Path) -> list[Tracked]:
    return list(joined_stream(recognised_stream(track_video(program, video))))


@pytest.fixture(scope="module")
def rows(stream: list[Tracked]) -> pd.DataFrame:
    return pd.DataFrame(np.concatenate([rows_of(part, 0.5) for part in stream]))


def successors(rows: pd.DataFrame) -> set[tuple[int, int]]:
    """Places of rows that follow each other in a track."""
    return {
        pair
        for _, track in rows.groupby("id")
        for pair in zip(track.index[:-1], track.index[1:], strict=True)
    }


# ---------------------------------------------------------------------- GEFF


def test_geff_is_the_graph_of_the_rows(
    program: Program, video: Path, rows: pd.DataFrame, tmp_path: Path
) -> None:
    track_to_files(program, video, tmp_path / "a.geff")
    graph, metadata = geff.read(tmp_path / "a.geff", backend="networkx")
    assert isinstance(graph, nx.DiGraph)
    nodes = pd.DataFrame.from_dict(dict(graph.nodes(data=True)), orient="index").sort_index()
    assert nodes["t"].tolist() == rows["frame"].tolist()
    for name in set(MEANING) - {"frame"}:
        # Distances from the edges count from the centre of the first pixel there.
        shift = 0.5 if name in ("x", "y", "left", "top") else 0
        assert np.allclose(nodes[name] + shift, rows[name], equal_nan=True), name
    assert set(graph.edges) == successors(rows)
    assert all(data["link"] == rows["link"][n] for _, n, data in graph.edges(data=True))
    assert [axis.name for axis in metadata.axes or ()] == ["t", "y", "x"]
    assert metadata.axes is not None
    assert (metadata.axes[0].scale, metadata.axes[0].scaled_unit) == (1 / 25, "second")
    assert metadata.extra["scalor_ppl"]["source"] == "clip.mkv"
    properties = metadata.node_props_metadata
    assert (properties["left"].unit, properties["depth"].unit) == ("pixel", None)
    validate_data(
        read_to_memory(tmp_path / "a.geff"),
        ValidationConfig(graph=True, lineage=True, tracklet=True),
    )
    assert [path.name for path in tmp_path.iterdir()] == ["a.geff"]


# ---------------------------------------------------------------------- TrackMate


def test_trackmate_says_what_the_rows_say(
    program: Program, video: Path, rows: pd.DataFrame, tmp_path: Path
) -> None:
    track_to_files(program, video, tmp_path / "a.xml")
    spots = trackmate_peak_import(tmp_path / "a.xml", get_tracks=True)
    assert spots["t_stamp"].tolist() == rows["frame"].tolist()
    assert np.allclose(spots["t"], rows["frame"] / 25)
    assert np.allclose(spots["x"] + 0.5, rows["x"])
    assert np.allclose(spots["y"] + 0.5, rows["y"])
    assert np.allclose(spots["q"], rows["confidence"])
    # A label for each identity.
    assert len(set(zip(spots["label"], rows["id"], strict=True))) == rows["id"].nunique()
    assert spots["label"].nunique() == rows["id"].nunique()


@pytest.mark.filterwarnings("ignore::UserWarning")  # about units that are TrackMate's own words
def test_trackmate_is_a_graph_for_others(
    program: Program, video: Path, rows: pd.DataFrame, tmp_path: Path
) -> None:
    # A converter that checks declarations, units and the coherence of tracks.
    track_to_files(program, video, tmp_path / "a.xml")
    from_trackmate_xml_to_geff(tmp_path / "a.xml", tmp_path / "b.geff")
    graph, _ = geff.read(tmp_path / "b.geff", backend="networkx")
    assert set(graph.edges) == successors(rows)
    for name in set(MEANING) - {"frame", "x", "y", "id"}:
        shift = 0.5 if name in ("left", "top") else 0
        said = [graph.nodes[n][name.upper()] + shift for n in range(len(rows))]
        assert np.allclose(said, rows[name], equal_nan=True), name
    lived = rows["id"].value_counts()
    held = {n: data.get("TRACK_ID") for n, data in graph.nodes(data=True)}
    assert all(held[n] == i for n, i in rows["id"].items() if lived[i] > 1)


# ---------------------------------------------------------------------- Cell Tracking Challenge


def test_pieces_go_on_under_another_label() -> None:
    pieces = pieces_of([[7], [7, 3], [3], [3, 7], [], [7]])
    assert pieces == {
        7: [Piece(1, 0, 1, 0), Piece(3, 3, 3, 1), Piece(4, 5, 5, 3)],
        3: [Piece(2, 1, 3, 0)],
    }


def test_challenge_is_valid_and_shows_the_masks(
    program: Program, video: Path, stream: list[Tracked], tmp_path: Path
) -> None:
    track_to_files(program, video, tmp_path / "01_RES", chunk=7)
    folder = tmp_path / "01_RES"
    assert validate_sequence(str(folder), threads=1) == {"Valid": 1}
    images = sorted(folder.glob("mask*.tif"))
    assert [path.name for path in images] == [f"mask{n:03}.tif" for n in range(50)]
    table = read_tracking_file(str(folder / "res_track.txt"))
    maps = np.concatenate([id_maps(part, 0.5) for part in stream])
    identities: dict[int, set[int]] = {}
    for path, ids in zip(images, maps, strict=True):
        labels = tifffile.imread(path)
        assert labels.dtype == np.uint16
        assert np.array_equal(labels > 0, ids >= 0)
        for label in np.unique(labels[labels > 0]).tolist():
            identities.setdefault(label, set()).update(ids[labels == label].tolist())
    # A label is of one identity, and a parent of the same as its child.
    assert all(len(each) == 1 for each in identities.values())
    assert sorted(identities) == table[:, 0].tolist()
    assert all(identities[child] == identities[p] for child, _, _, p in table.tolist() if p)


def test_challenge_numbers_the_frames_that_were_tracked(
    program: Program, video: Path, tmp_path: Path
) -> None:
    strided = with_data(program, source="elsewhere", stride=4)
    track_to_files(strided, video, tmp_path / "01_GT", start=6, stop=20)
    folder = tmp_path / "01_GT" / "TRA"
    names = [path.name for path in sorted(folder.iterdir())]
    assert names == ["man_track.txt", *(f"man_track{n:03}.tif" for n in range(4))]
    with tifffile.TiffFile(folder / "man_track002.tif") as image:
        assert image.pages.first.description == "frame 14 of clip.mkv"
    assert read_tracking_file(str(folder / "man_track.txt"))[:, 2].max() == 3


def test_masks_in_the_size_of_the_video(stream: list[Tracked]) -> None:
    part = stream[0]
    coarse, fine = (id_map(part, 5, 0.5, size) for size in ((64, 64), (256, 256)))
    among = fine.reshape(64, 4, 64, 4)
    # Inside the objects nothing changes, and edges are smoother than those of enlarged pixels.
    whole = (among == among[:, :1, :, :1]).all((1, 3))
    assert whole.mean() > 0.9
    agree = among[:, 0, :, 0][whole] == coarse[whole]
    assert agree.mean() > 0.99
    assert not whole[coarse >= 0].all()


# ---------------------------------------------------------------------- folders


class Disk(NamedTuple):
    free: int


def test_folders_of_others_are_left_alone(program: Program, video: Path, tmp_path: Path) -> None:
    folder = tmp_path / "01_RES"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years")
    with pytest.raises(UserError, match=r"01_RES is there already, and holds thesis.tex"):
        track_to_files(program, video, folder, overwrite=True)
    assert (folder / "thesis.tex").read_text() == "years"
    (tmp_path / "a.geff").write_text("")
    with pytest.raises(UserError, match=r"a.geff is a file; name a folder to write"):
        track_to_files(program, video, tmp_path / "a.geff", overwrite=True)


def test_a_folder_is_replaced_as_a_whole(program: Program, video: Path, tmp_path: Path) -> None:
    folder = tmp_path / "01_RES"
    track_to_files(program, video, folder)
    with pytest.raises(UserError, match=r"01_RES is there already: name another file"):
        track_to_files(program, video, folder)
    track_to_files(program, video, folder, stop=3, overwrite=True)
    assert len(list(folder.glob("mask*.tif"))) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["01_RES"]


def test_a_folder_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").write_text("old")

    def write() -> None:
        with folder_written_whole(tmp_path / "a") as lent:
            (lent / "new").write_text("new")
            raise OSError(28, "No space left on device", str(lent / "new"))

    with pytest.raises(UserError, match=r"cannot write .*a: No space left on device"):
        write()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a" / "old").read_text() == "old"


def contents(path: Path) -> dict[str, bytes]:
    """All files, by their names."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


@pytest.mark.parametrize("name", ["a.geff", "a.xml", "01_RES"])
def test_what_was_interrupted_goes_on(
    program: Program,
    video: Path,
    tmp_path: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, parts = tmp_path / "whole" / name, tmp_path / "parts" / name
    track_to_files(program, video, whole, chunk=6)
    assert track_to_files(program, video, parts, chunk=6, watcher=Interrupter(12)).interrupted
    assert {path.name for path in parts.parent.iterdir()} == {f"{name}.part", f"{name}.resume"}
    # At the end there is no room for the file itself.
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda path: Disk(0))
        with pytest.raises(UserError, match=r"cannot write .*: it needs about .* MiB"):
            track_to_files(program, video, parts, chunk=6, resume=True)
    assert not parts.exists()
    assert track_to_files(program, video, parts, chunk=6, resume=True).frames == 50
    assert contents(parts) == contents(whole)
    assert [path.name for path in parts.parent.iterdir()] == [name]


def test_geff_says_what_it_needs(
    program: Program, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scalor_ppl.tracking.geff.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'scalor-ppl\[geff\]'"):
        track_to_files(program, video, tmp_path / "a.geff")
    with pytest.raises(UserError, match=r"end it in .txt, .csv, .* .geff, .xml, _RES, _GT"):
        track_to_files(program, video, tmp_path / "a.tif")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.geff", "a.xml", "01_RES"])
def test_nobody_in_view(program: Program, tmp_path: Path, name: str) -> None:
    black = write_frames(tmp_path / "black.mkv", np.zeros((5, 64, 64, 3), np.uint8))
    track_to_files(program, black, tmp_path / name)
    if name == "a.geff":
        graph, _ = geff.read(tmp_path / name, backend="networkx")
        assert not len(graph)
    elif name == "a.xml":
        assert trackmate_peak_import(tmp_path / name).empty
    else:
        assert (tmp_path / name / "res_track.txt").read_text() == ""
        assert not any(tifffile.imread(path).any() for path in (tmp_path / name).glob("*.tif"))
