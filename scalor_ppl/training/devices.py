"""Devices by name, and what they compute fast."""

import logging
from collections.abc import Mapping

import torch

from scalor_ppl.errors import UserError

log = logging.getLogger(__name__)

# Names of instructions that multiply bfloat16 numbers, on x86 and on ARM, as torch lists them.
_BFLOAT16_UNITS = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")


def pick_device(name: str, rank: int | None = None) -> torch.device:
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N`` as a device.

    Args:
        name: of the device.
        rank: number of this process among several on this machine, which take a GPU each; none
            where it is alone.

    Raises:
        UserError: no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
        if rank is None:
            return torch.device(name)
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"no device named {name!r}: use auto, cpu or cuda") from None
    if device.type == "cpu" and device.index is not None:
        raise UserError(f"--device {name}: a CPU has no number, use cpu")
    if device.type == "cuda":
        count = torch.cuda.device_count()
        if rank is not None:
            if device.index is not None:
                raise UserError(
                    f"--device {name}: of several processes each takes a GPU of its own, say cuda"
                )
            if 0 < count <= rank:
                raise UserError(
                    f"torch sees {count} GPU here, too few for all processes: start torchrun with "
                    f"--nproc-per-node {count}"
                )
            device = torch.device("cuda", rank)
        if (device.index or 0) >= count:
            raise UserError(
                f"--device {name}: torch sees {count or 'no'} GPU here; use --device cpu, or "
                "install a build of torch with CUDA"
            )
    elif device.type != "cpu":
        raise UserError(f"--device {name} is not supported: use auto, cpu or cuda")
    return device


def has_bfloat16_units(device: torch.device) -> bool | None:
    """Whether a device multiplies bfloat16 numbers itself; none where torch cannot tell."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # Since torch 2.10.
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    if not capabilities:
        return None
    return any(capabilities.get(name) for name in _BFLOAT16_UNITS)


def warn_of_precision(precision: str, device: torch.device) -> None:
    """Say in one line that a training will be slower for the precision that is asked for.

    Args:
        precision: ``train.precision``.
        device: where it is trained.
    """
    if precision == "bfloat16" and has_bfloat16_units(device) is False:
        log.warning(
            "train.precision = 'bfloat16' makes training slower here, by 1.5 to 6 times as "
            "measured: this %s has no bfloat16 units; leave it out to train in float32",
            "GPU" if device.type == "cuda" else "processor",
        )
