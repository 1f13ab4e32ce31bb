"""Work that may not come back, done in a process of its own.

HDF5 is written in C, and over damaged bytes it may loop without end or take the process with it.
A child is forked, which costs some milliseconds whatever was imported; what it made lies in memory
that both share, and is not copied.
"""

from __future__ import annotations

import gc
import mmap
import os
import pickle
import signal
import sys
from collections.abc import Callable
from typing import Any, TypeVar

Made = TypeVar("Made")

# Elsewhere a fork is not safe once libraries have threads, or there is none.
FORKS = sys.platform == "linux"
ALIGNMENT = 64
NO_ROOM = 75  # the child's exit code where its result finds no room in shared memory


class EndlessError(Exception):
    """The work took more of the processor's time than it may, or ended its process."""


def apart(work: Callable[[], Made], seconds: int) -> Made:
    """What some work returns, or the error that it raises.

    Args:
        work: returns something that can be pickled, and needs no other thread.
        seconds: of the processor's time that it may take; a machine that is busy otherwise does not
            count. Where the system cannot fork, the work is done here, and nothing is limited.

    Raises:
        EndlessError: it did not come to an end.
        Exception: what the work raised; where that cannot be pickled, a RuntimeError of its text.
    """
    if not FORKS:
        return work()
    shared = os.memfd_create("apart")
    try:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = _work_in_child(work, shared, seconds)
            finally:
                os._exit(code)  # without what others registered for the end of the parent
        status = _ended(child)
        if status == NO_ROOM:  # it ends, so it may be done here
            return work()
        if status == -signal.SIGXCPU:
            raise EndlessError(f"its reader was stopped after {seconds} s of work")
        if status != 0:
            raise EndlessError(f"its reader ended with code {status}")
        done, made = _unpacked(shared)
    finally:
        os.close(shared)
    if done:
        return made
    raise made


def _ended(child: int) -> int:
    try:
        _, status = os.waitpid(child, 0)
    except BaseException:  # Ctrl-C: nobody waits for it any more
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    return os.waitstatus_to_exitcode(status)


def _work_in_child(work: Callable[[], object], shared: int, seconds: int) -> int:
    """Leave in shared memory what the work returned or raised; the exit code."""
    # First of all. What was garbage in the parent stays garbage: PyAV's frames, freed here, would
    # wait for threads that a fork does not take along.
    gc.freeze()
    import resource

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    # Limits of files hold for shared memory, too, which is none.
    most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    # A library's last words are for nobody: the error is told by who asked.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    answer: tuple[bool, object]
    try:
        answer = (True, work())
    except Exception as error:
        answer = (False, error)
    buffers: list[pickle.PickleBuffer] = []
    try:
        head = pickle.dumps(answer, protocol=5, buffer_callback=buffers.append)
    except Exception as error:
        buffers.clear()
        head = pickle.dumps((False, RuntimeError(f"{answer[1]} ({error})")))
    parts: list[Any] = [head, *(buffer.raw() for buffer in buffers)]
    try:
        with open(shared, "wb", closefd=False) as file:
            pickle.dump([memoryview(part).nbytes for part in parts], file)
            for part in parts:
                file.seek(_aligned(file.tell()))
                file.write(part)
    except OSError:
        return NO_ROOM
    return 0


def _aligned(place: int) -> int:
    """The next place where any array may begin."""
    return -(-place // ALIGNMENT) * ALIGNMENT


def _unpacked(shared: int) -> tuple[bool, Any]:
    with open(shared, "rb", closefd=False) as file:
        file.seek(0)
        sizes = pickle.load(file)
        at = file.tell()
    # Private: arrays in it may be written to.
    memory = memoryview(mmap.mmap(shared, 0, access=mmap.ACCESS_COPY))
    parts = []
    for size in sizes:
        at = _aligned(at)
        parts.append(memory[at : at + size])
        at += size
    return pickle.loads(parts[0], buffers=parts[1:])
