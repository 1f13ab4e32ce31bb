"""Commands that are killed at random moments: a process that has imported everything forks them."""

from __future__ import annotations

import contextlib
import io
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from scalor_ppl.cli.main import run as run_command

KILLED = -signal.SIGKILL


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (minus the signal), what it said, and its seconds."""

    code: int
    said: str
    seconds: float


def forked(
    words: tuple[object, ...],
    folder: Path,
    kill_after: float | None = None,
    prepare: Callable[[], None] | None = None,
) -> Ended:
    """Run a command in a child of this process, in a folder; kill it after so many seconds.

    Args:
        words: of the command, without ``scalor-ppl``.
        folder: where it runs.
        kill_after: seconds from its begin; none lets it end.
        prepare: called in the child before the command.
    """
    said = folder.parent / f"{folder.name}.said"
    begin = time.perf_counter()
    # Opened here: a child without rights, or on a full disk, still has a voice.
    voice = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    child = os.fork()
    if child == 0:
        code = 70
        try:
            os.chdir(folder)
            if prepare is not None:
                prepare()
            code = _run(words, voice)
        finally:
            os._exit(code)
    os.close(voice)
    if kill_after is None:
        _, status = os.waitpid(child, 0)
    else:
        status = _killed(child, kill_after)
    code = os.waitstatus_to_exitcode(status)
    return Ended(code, said.read_text(), time.perf_counter() - begin)


def _run(words: tuple[object, ...], descriptor: int) -> int:
    """The command's exit code; its output goes to a file, as the child has no other voice."""
    sys.argv = ["scalor-ppl", *map(str, words)]
    voice = io.StringIO()
    code = 0
    with contextlib.redirect_stdout(voice), contextlib.redirect_stderr(voice):
        try:
            run_command()
        except SystemExit as end:
            code = int(end.code or 0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    with contextlib.suppress(OSError):
        os.write(descriptor, voice.getvalue().encode())
    return code


def _killed(child: int, after: float) -> int:
    """Wait for the child for so long, then kill it; its status."""
    deadline = time.perf_counter() + after
    while time.perf_counter() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(min(0.002, max(0.0, deadline - time.perf_counter())))
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


@dataclass
class Scenario:
    """A command that is killed again and again, and what must hold whenever it was.

    Attributes:
        name: of the command.
        begin: its words for a first try, ``again`` those to go on, by what is in the folder.
        again: likewise, after a kill.
        whole: complains where something in the folder is half-written.
        same: complains where the finished folder differs from the reference.
    """

    name: str
    begin: tuple[object, ...]
    again: Callable[[Path], tuple[object, ...]]
    whole: Callable[[Path, Path], None]
    same: Callable[[Path, Path], None]
    moments: list[float] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    too_late: int = 0

    def soak(
        self,
        fresh: Callable[[str], Path],
        kills: int,
        chance: random.Random,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        """Kill the command so often, let it end, compare; as often as it takes.

        Args:
            fresh: makes a folder with what the command needs, by name.
            kills: how many processes die.
            chance: of the moments.
            prepare: called in each child.
        """
        reference = fresh(f"{self.name}-reference")
        ended = forked(self.begin, reference, prepare=prepare)
        assert ended.code == 0, f"{self.name}: {ended.said}"
        tries = 0
        while len(self.moments) < kills:
            tries += 1
            folder = fresh(f"{self.name}-{tries}")
            # A few deaths each, so that what goes on from a death dies as well.
            deaths = min(chance.randint(1, 3), kills - len(self.moments))
            moments = [chance.uniform(0, ended.seconds) for _ in range(deaths)]
            self._die(folder, reference, moments, prepare)

    def _die(
        self,
        folder: Path,
        reference: Path,
        moments: list[float],
        prepare: Callable[[], None] | None,
    ) -> None:
        """Kill it at these moments, one after the other; let it end, and compare."""
        words = self.begin
        for moment in moments:
            killed = forked(words, folder, moment, prepare)
            if killed.code != KILLED:
                self.too_late += 1
                self._judge(killed.code == 0, f"exit {killed.code}: {killed.said}", moment)
                break
            self.moments.append(moment)
            self._checked(self.whole, folder, reference)
            words = self.again(folder)
        else:
            last = forked(words, folder, prepare=prepare)
            self._judge(last.code == 0, f"{words}: exit {last.code}: {last.said}", moments[-1])
            if last.code != 0:
                return
        self._checked(self.same, folder, reference)

    def _checked(self, check: Callable[[Path, Path], None], folder: Path, reference: Path) -> None:
        try:
            check(folder, reference)
        except Exception as error:  # whatever is wrong with a file, it is what we look for
            self.lost.append(f"{self.name}, {folder}: {type(error).__name__}: {error}")

    def _judge(self, good: bool, said: str, moment: float) -> None:
        if not good:
            self.lost.append(f"{self.name} at {moment:.3f} s: {said}")
