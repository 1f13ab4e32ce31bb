"""An output has one writer at a time; one that is killed leaves nothing to be removed by hand."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from scalor_ppl.errors import UserError
from scalor_ppl.files import written_whole
from scalor_ppl.results.locks import LOCK, holds_nothing, owned, owned_folder

HOLDS = """
import sys
from scalor_ppl.results.locks import owned, owned_folder
own = owned_folder if sys.argv[1] == "folder" else owned
with own(sys.argv[2]):
    print("held", flush=True)
    sys.stdin.readline()
"""


class Holder:
    """Another process that owns an output until it is told to end."""

    def __init__(self, kind: str, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDS, kind, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "held\n"

    def end(self) -> None:
        self.process.communicate("\n")
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


def own(kind: str, path: Path) -> None:
    with owned_folder(path) if kind == "folder" else owned(path):
        pass


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_second_process_is_refused_until_the_first_has_ended(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / "out"
    holder = Holder(kind, path)
    with pytest.raises(UserError) as refused:
        own(kind, path)
    message = str(refused.value)
    assert message.startswith(f"{path} is being written by another process (")
    assert f"process {holder.process.pid})" in message
    assert "\n" not in message
    # The same folder by another name is the same output.
    (tmp_path / "link").symlink_to(tmp_path / "new")
    with pytest.raises(UserError, match="being written by another process"):
        own(kind, tmp_path / "link" / "out")
    holder.end()
    own(kind, path)
    assert not (tmp_path / "new").exists()  # nothing was written


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_killed_process_holds_nothing(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "out"
    if kind == "folder":
        path.mkdir()
    holder = Holder(kind, path)
    holder.kill()
    own(kind, path)
    assert not list(tmp_path.rglob("*.lock"))


def test_who_owns_an_output_may_own_it_again_but_another_thread_may_not(tmp_path: Path) -> None:
    path, said = tmp_path / "run", []

    def other() -> None:
        try:
            own("folder", path)
        except UserError as error:
            said.append(str(error))

    with owned_folder(path):
        with owned_folder(path):
            assert (path / LOCK).is_file()
        assert (path / LOCK).is_file()
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(said) == 1
    assert f"process {os.getpid()})" in said[0]


def test_who_waits_gets_his_turn(tmp_path: Path) -> None:
    path = tmp_path / "log"
    holder = Holder("file", path)
    threading.Timer(0.2, holder.end).start()
    with owned(path, wait=20):
        path.write_text("mine")
    assert [each.name for each in tmp_path.iterdir()] == ["log"]


def test_a_refusal_of_one_output_frees_the_others(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    holder = Holder("file", second)
    with pytest.raises(UserError, match="b is being written"), owned(first, None, second):
        pass
    own("file", first)
    holder.end()


def test_a_folder_with_only_its_lock_holds_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert holds_nothing(folder)
    with owned_folder(folder):
        assert holds_nothing(folder)
        (folder / "file").touch()
        assert not holds_nothing(folder)
    assert not holds_nothing(folder / "file")
    assert [each.name for each in folder.iterdir()] == ["file"]


def test_what_a_killed_writer_left_is_swept_away(tmp_path: Path) -> None:
    path, bystander = tmp_path / "a.nc", tmp_path / ".a-mine.nc"
    bystander.touch()
    writer = written_whole(path)
    left = writer.__enter__()  # and never ends
    with owned(path):
        assert not left.exists()
        path.write_text("new")
    assert sorted(each.name for each in tmp_path.iterdir()) == [".a-mine.nc", "a.nc"]


def test_a_folder_is_swept_but_for_what_others_own(tmp_path: Path) -> None:
    run = tmp_path / "run"
    names = (
        "images/.step_1-0123456789ab.png",
        ".config-0123456789ab.toml",
        "others/.a-0123456789ab.mp4",
        ".report-0123456789ab.html",
        ".name-0123456789.txt",
        "a-0123456789ab.txt",
    )
    for name in names:
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).touch()
    others, report = Holder("folder", run / "others"), Holder("file", run / "report.html")
    (run / "others" / ".a-0123456789ab.mp4").touch()  # it began to write
    (run / ".report-0123456789ab.html").touch()
    with owned_folder(run):
        left = {str(p.relative_to(run)) for p in run.rglob("*") if p.is_file()}
    assert left - {"others/.lock", ".report.html.lock", ".lock"} == set(names[2:])
    others.end()
    report.end()
