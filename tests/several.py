"""Processes that train together, as torchrun starts them, without what it takes to start."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import socket
import time
from collections.abc import Callable
from functools import cache
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from scalor_ppl.parallel.ranks import joined_ranks

LIMIT = 60.0  # seconds, in which all have ended whatever happens to one of them


class Ended(NamedTuple):
    """How a process ended.

    Attributes:
        value: what its work returned, or the error that it raised; none where it was killed.
        code: its exit code, negative where a signal ended it.
    """

    value: Any
    code: int | None


def several(count: int, work: Callable[..., Any], *arguments: Any) -> list[Ended]:
    """Let so many processes do ``work(ranks, *arguments)``, a function of a module, together."""
    context = _server()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for rank in range(count):
        mine, theirs = context.Pipe(duplex=False)
        variables = {
            "TORCHELASTIC_RUN_ID": "test",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "WORLD_SIZE": str(count),
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
        }
        process = context.Process(target=_work, args=(theirs, variables, work, arguments))
        process.start()
        theirs.close()
        started.append((process, mine))
    until = time.monotonic() + LIMIT
    ended = []
    for process, pipe in started:
        value = None
        try:
            if pipe.poll(max(0.0, until - time.monotonic())):
                value = pickle.loads(pipe.recv_bytes())
        except EOFError:
            pass
        process.join(max(1.0, until - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
            raise AssertionError(f"a process has not ended in {LIMIT} seconds")
        ended.append(Ended(value, process.exitcode))
    return ended


@cache
def _server() -> ForkServerContext:
    """What forks processes: it has imported everything, and no threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["warmed"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        forkserver.ensure_running()
    return context


def _work(
    pipe: Connection, variables: dict[str, str], work: Callable[..., Any], arguments: Any
) -> None:
    os.environ.update(variables)
    torch.set_num_threads(1)
    try:
        with joined_ranks() as ranks:
            value = work(ranks, *arguments)
    except Exception as error:
        value = error
    pipe.send_bytes(pickle.dumps(value))  # tensors too: their memory ends with this process


def each_value(count: int, work: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What the work returned in each process, none of which failed."""
    ended = several(count, work, *arguments)
    assert [code for _, code in ended] == [0] * count
    for value, _ in ended:
        if isinstance(value, Exception):
            raise value
    return [value for value, _ in ended]
