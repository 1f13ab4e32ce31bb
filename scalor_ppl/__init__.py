"""SCALOR (Jiang et al., ICLR 2020), unsupervised object-centric world models, on Pyro.

    import scalor_ppl

    program = scalor_ppl.load("runs/ld")
    tree = scalor_ppl.infer(program, "moving-dsprites-ld", draws=100)

``import scalor_ppl`` takes no time: torch and Pyro are imported by the first call.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

    from scalor_ppl.programs import Program

__all__ = ["infer", "load"]


def load(run: str | Path, device: str = "auto", *, trust: bool = False) -> "Program":
    """The trained program of a run: model, guide and configuration.

    Args:
        run: its folder, or ``pretrained:NAME``.
        device: auto, cpu, cuda or cuda:N.
        trust: run code that its folder names, from now on; see :mod:`scalor_ppl.programs.trust`.

    Raises:
        UserError: there is no such run or device, or it names code that nobody vouched for.
    """
    from contextlib import nullcontext

    from scalor_ppl.programs.trust import trusting
    from scalor_ppl.training.devices import pick_device
    from scalor_ppl.training.runs import load_run

    with trusting() if trust else nullcontext():
        return load_run(Path(run), pick_device(device))


def infer(
    program: "Program",
    video: "np.ndarray | str | Path",
    draws: int = 100,
    seed: int = 0,
    *,
    clip: int = 0,
    frames: int = 10,
) -> "xr.DataTree":
    """Draw from the posterior of a clip; see :func:`scalor_ppl.inference.trees.posterior_tree`.

    Args:
        program: trained.
        video: uint8 ``[T, H, W, C]``, all of which is used; or a registered set, a video file or a
            folder, as ``scalor-ppl infer`` takes them.
        draws: how many.
        seed: of the draws.
        clip: which clip of a set, file or folder.
        frames: length of that clip.

    Returns:
        Groups ``posterior``, ``posterior_predictive``, ``log_likelihood``, ``observed_data`` and
        ``sample_stats``.

    Raises:
        UserError: there is no such video, it has another size than the program's, or no draws.
    """
    from scalor_ppl.inference.trees import posterior_tree
    from scalor_ppl.training.sources import open_clip

    if isinstance(video, str | Path):
        video = open_clip(program.config.data, str(video), clip, frames)
    return posterior_tree(program, video, draws=draws, seed=seed)
