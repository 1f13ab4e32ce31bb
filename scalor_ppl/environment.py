"""What measured figures depend on beside the configuration: machine, versions, commit."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyro
import torch


def environment(device: torch.device) -> dict[str, Any]:
    """Date, versions, processor, threads and load, fit for JSON."""
    cuda = device.type == "cuda"
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "torch": torch.__version__,
        "pyro": pyro.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        # Beside other programs, figures are too high, by a little or by a lot.
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "processor": processor(),
        "device": torch.cuda.get_device_name(device) if cuda else "cpu",
    }


def processor() -> str:
    """The processor's model name, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def commit() -> str:
    """The commit of the source that runs, with a ``+`` where files differ from it.

    "unknown" where the package is installed without its history, also inside another repository.
    """
    root = Path(__file__).parents[1]
    try:
        if Path(_git(root, "rev-parse", "--show-toplevel")) != root:
            return "unknown"
        head = _git(root, "rev-parse", "--short=7", "HEAD")
        # Files that are not committed but imported count as well: all code lies in these.
        changed = _git(root, "status", "--porcelain", "--", "scalor_ppl", "models", "guides", "cli")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+" if changed else "")


def _git(folder: Path, *arguments: str) -> str:
    command = ("git", "-C", str(folder), *arguments)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
