"""Work in a process of its own: what it returns, what it raises, and what never ends."""

from __future__ import annotations

import gc
import os
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_mutations import damaged

from scalor_ppl.data import netcdf, open_source
from scalor_ppl.data.apart import FORKS, EndlessError, apart
from scalor_ppl.data.netcdf import NetcdfSource, write_netcdf
from scalor_ppl.errors import UserError

forks = pytest.mark.skipif(not FORKS, reason="this system cannot fork safely")


def test_what_is_made_comes_back() -> None:
    made: Any = apart(
        lambda: {"a": np.arange(7, dtype=np.int16), "b": np.ones((3, 5)), "c": "x"}, 5
    )
    assert np.array_equal(made["a"], np.arange(7))
    assert made["a"].dtype == np.int16
    made["b"][1] = 2  # what was shared is ours alone
    assert made["b"].sum() == 20
    assert made["b"].flags.aligned


def test_an_error_comes_back() -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        apart(lambda: Path("nowhere").read_bytes(), 5)


def test_what_cannot_be_sent_is_told() -> None:
    with pytest.raises(RuntimeError, match="pickle"):
        apart(lambda: (line for line in "generators cannot be pickled"), 5)


@forks
def test_a_loop_in_c_is_ended() -> None:
    begun = time.process_time()
    with pytest.raises(EndlessError, match="stopped after 1 s of work"):
        apart(lambda: sum(iter(int, 1)), 1)  # one call, which no signal handler interrupts
    assert time.process_time() - begun < 0.5


@forks
def test_a_crash_is_told() -> None:
    with pytest.raises(EndlessError, match="ended with code 3"):
        apart(lambda: os._exit(3), 5)


class OfThreads:
    """A cycle whose end in another process than its own is the end of that process."""

    def __init__(self) -> None:
        self.itself = self
        self.process = os.getpid()

    def __del__(self) -> None:
        if os.getpid() != self.process:
            os._exit(9)


@forks
def test_garbage_of_the_parent_is_not_freed_in_the_child() -> None:
    """PyAV's frames wait there for threads that a fork did not take along, for ever."""
    gc.disable()
    try:
        OfThreads()
        assert apart(lambda: gc.collect() >= 0, 5)
    finally:
        gc.enable()
        gc.collect()


@forks
@pytest.mark.parametrize("hard", [False, True])
def test_a_limit_of_file_sizes_does_not_matter(hard: bool) -> None:
    """Shared memory counts as a file: where there is no room, the work is done again, here."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            most = 1000 if hard else resource.RLIM_INFINITY
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, most))
            code = 0 if apart(lambda: np.ones(9000), 5).sum() == 9000 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@forks
def test_its_last_words_are_not_ours(capfd: pytest.CaptureFixture[str]) -> None:
    assert apart(lambda: os.write(2, b"Exception ignored in:"), 5) > 0
    assert capfd.readouterr().err == ""


@forks
def test_a_damaged_file_that_hdf5_loops_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """HDF5 2.0 never comes back from this one; other versions may refuse it."""
    path = tmp_path / "clips.nc"
    write_netcdf(open_source("moving-dsprites-vld"), path, clips=2, frames=3)
    path.write_bytes(damaged(path.read_bytes(), np.random.default_rng([11, 95])))
    monkeypatch.setattr(netcdf, "_seconds", lambda path: 1)
    with pytest.raises(UserError, match="is not a readable NetCDF file") as caught:
        NetcdfSource(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_limits_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "clips.nc"
    with path.open("wb") as file:
        file.truncate(100 << 20)
    assert netcdf._seconds(path) == 510
