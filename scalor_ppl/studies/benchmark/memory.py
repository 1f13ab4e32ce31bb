"""Peak memory of training, measured in a process of its own."""

import functools
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from scalor_ppl.config.schema import Config
from scalor_ppl.errors import UserError
from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.programs import CountsObjects, require
from scalor_ppl.programs.configuration import checked
from scalor_ppl.studies.allocator import keep_freed_memory
from scalor_ppl.studies.benchmark.results import PeakMemory
from scalor_ppl.studies.benchmark.step import WARM_UP, Stepper


def peak_memory(
    config: Config, batch: int, frames: int, device: torch.device, *, objects: int | None = None
) -> PeakMemory:
    """Peak memory of training, in a fresh process: a process's own peak never goes down.

    Args:
        config: of the program.
        batch: videos a step.
        frames: length of a video.
        device: where.
        objects: how many it is made to find, for a program that can be told (``CountsObjects``);
            none leaves that to its guide.

    Raises:
        UserError: the process failed, most likely for want of memory.
    """
    request = {
        "config": config.model_dump(mode="json"),
        "batch": batch,
        "frames": frames,
        "device": str(device),
        "objects": objects,
        "threads": torch.get_num_threads(),
    }
    child = subprocess.run(
        [sys.executable, "-m", "scalor_ppl.studies.benchmark.memory"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
    )
    if child.returncode != 0:
        said = (child.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(
            f"measuring memory failed (exit status {child.returncode}: {said}); "
            "try a smaller --batch or --frames"
        )
    return PeakMemory(**json.loads(child.stdout.splitlines()[-1]))


def _measure_memory(request: Mapping[str, Any]) -> PeakMemory:
    """In the fresh process: a few steps, and what they took."""
    keep_freed_memory()
    torch.set_num_threads(request["threads"])
    device = torch.device(request["device"])
    with fast_pyro():
        config = checked(request["config"])
        stepper = Stepper(config, request["batch"], request["frames"], device)
        objects = request["objects"]
        forward = stepper.forward
        if objects is not None:
            guide = require(stepper.program, CountsObjects, "memory").finding(objects)
            forward = functools.partial(stepper.forward, guide)
        before = _peak_bytes(device)
        for _ in range(WARM_UP):
            stepper.timed(forward)
    return PeakMemory(_peak_bytes(device), before, "cuda" if device.type == "cuda" else "resident")


def _peak_bytes(device: torch.device) -> int:
    """Peak so far: of the process's resident size or, on a GPU, of torch's allocations."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        # Not ru_maxrss where it can be helped: on Linux a new process inherits its parent's.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    print(json.dumps(asdict(_measure_memory(json.load(sys.stdin)))))
