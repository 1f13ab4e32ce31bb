"""Devices by name."""

import torch

from scalor_ppl.errors import UserError


def pick_device(name: str) -> torch.device:
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N`` as a device.

    Raises:
        UserError: no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"no device named {name!r}: use auto, cpu or cuda") from None
    if device.type == "cpu" and device.index is not None:
        raise UserError(f"--device {name}: a CPU has no number, use cpu")
    if device.type == "cuda":
        count = torch.cuda.device_count()
        if (device.index or 0) >= count:
            raise UserError(
                f"--device {name}: torch sees {count or 'no'} GPU here; use --device cpu, or "
                "install a build of torch with CUDA"
            )
    elif device.type != "cpu":
        raise UserError(f"--device {name} is not supported: use auto, cpu or cuda")
    return device
