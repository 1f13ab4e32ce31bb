"""Files are whole or not there; tracks survive the trip through MOTChallenge text."""

from pathlib import Path

import numpy as np
import pytest

from scalor_ppl.errors import UserError
from scalor_ppl.files import written_whole
from scalor_ppl.tracks.mot import read_mot, write_mot
from scalor_ppl.tracks.table import Tracks


def some_tracks() -> Tracks:
    ids = np.array([[0, -1, 4], [4, 0, 9], [-1, -1, -1]])
    boxes = np.random.default_rng(0).uniform(0, 60, (3, 3, 4)).astype(np.float32)
    presence = np.array([[0.9, 0.0, 0.6], [0.75, 1.0, 0.3], [0, 0, 0]], dtype=np.float32)
    discovered = np.array([[1, 0, 1], [0, 0, 1], [0, 0, 0]], dtype=bool)
    return Tracks(ids, boxes, presence, discovered)


def test_tracks_check_their_shapes() -> None:
    tracks = some_tracks()
    assert tracks.frames == 3
    assert tracks.present().sum() == 4
    assert tracks.present(0.2).sum() == 5
    with pytest.raises(ValueError, match="ids"):
        Tracks(tracks.ids[0], tracks.boxes, tracks.presence, tracks.discovered)
    with pytest.raises(ValueError, match="boxes"):
        Tracks(tracks.ids, tracks.boxes[:, :2], tracks.presence, tracks.discovered)
    with pytest.raises(ValueError, match="presence"):
        Tracks(tracks.ids, tracks.boxes, tracks.presence[:2], tracks.discovered)


def test_a_file_appears_whole_in_a_new_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    with written_whole(path) as lent:
        lent.write_text("all of it")
        assert lent.suffix == ".txt"
        assert not path.exists()
    assert path.read_text() == "all of it"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail() -> None:
        with written_whole(path) as lent:
            lent.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_unwritable_places_are_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder"), written_whole(tmp_path):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"), written_whole(tmp_path / "file" / "x"):
        pass


def test_mot_rows(tmp_path: Path) -> None:
    tracks = some_tracks()
    tracks.boxes[0, 0] = (1.5, -2, 10, 12.25)
    write_mot(tmp_path / "tracks.txt", tracks)
    lines = (tmp_path / "tracks.txt").read_text().splitlines()
    assert lines[0] == "1,1,1.500,-2.000,10.000,12.250,0.900000,-1,-1,-1"
    assert [line.split(",")[:2] for line in lines] == [
        ["1", "1"],
        ["1", "5"],
        ["2", "5"],
        ["2", "1"],
    ]


def test_mot_round_trip(tmp_path: Path) -> None:
    tracks = some_tracks()
    write_mot(tmp_path / "tracks.txt", tracks, presence_threshold=0)
    back = read_mot(tmp_path / "tracks.txt", frames=3)
    np.testing.assert_array_equal(back.ids, [[0, 4, -1], [4, 0, 9], [-1, -1, -1]])
    order = [0, 2], [0, 1, 2]
    for t, slots in enumerate(order):
        there = len(slots)
        np.testing.assert_allclose(back.boxes[t, :there], tracks.boxes[t, slots], atol=5.1e-4)
        np.testing.assert_allclose(back.presence[t, :there], tracks.presence[t, slots], atol=1e-4)
        np.testing.assert_array_equal(back.discovered[t, :there], tracks.discovered[t, slots])
    assert read_mot(tmp_path / "tracks.txt").frames == 2


def test_mot_of_nothing(tmp_path: Path) -> None:
    nothing = Tracks(
        np.full((4, 2), -1), np.zeros((4, 2, 4)), np.zeros((4, 2)), np.zeros((4, 2), dtype=bool)
    )
    write_mot(tmp_path / "tracks.txt", nothing)
    assert (tmp_path / "tracks.txt").read_text() == ""
    assert read_mot(tmp_path / "tracks.txt", frames=4).ids.shape == (4, 0)


def test_mot_rows_of_others(tmp_path: Path) -> None:
    path = tmp_path / "gt.txt"
    path.write_text("2,3,1,2,3,4,-1,-1,-1,-1\n\n1, 3, 0, 2, 3, 4\n")
    tracks = read_mot(path)
    np.testing.assert_array_equal(tracks.ids, [[2], [2]])
    np.testing.assert_array_equal(tracks.presence, [[1], [1]])
    np.testing.assert_array_equal(tracks.discovered, [[True], [False]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frame,id,left\n", "line 1 is not"),
        ("1,1,0,0,5,5\n1,2,0,0\n", "line 2 is not"),
        ("1,1,nan,0,5,5\n", "line 1 is not"),
        ("-1,1,0,0,5,5\n", "count from 0 or 1"),
        ("1,1,0,0,5,5\n1,1,9,9,5,5\n", "line 2: id 1 is twice in frame 1"),
        ("9,1,0,0,5,5\n", "frame 9, the clip has 5"),
        ("\xff\n", "is not|cannot be read"),
    ],
)
def test_bad_mot_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=message):
        read_mot(path, frames=5)


def test_missing_mot_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_mot(tmp_path / "none.txt")
