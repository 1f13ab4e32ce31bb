"""A preset's training step on a GPU: the same as on the CPU, how often it waits, how long it takes.

    python scripts/gpu_step.py moving-dsprites-vld
    python scripts/gpu_step.py moving-dsprites-vld --device cpu --steps 2 --batches 2

Ends with 1 where loss or gradient differ from the CPU's by more than they may.
"""

import argparse
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from scalor_ppl.config.schema import Config
from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.programs.build import build_program
from scalor_ppl.programs.configuration import resolve
from scalor_ppl.render.glimpses import set_backend
from scalor_ppl.studies.benchmark.step import Stepper, synthetic_video, time_steps
from scalor_ppl.training.devices import pick_device
from scalor_ppl.training.sources import fitted, open_data
from scalor_ppl.training.step import TrainingStep

CPU = torch.device("cpu")
FRAMES = 3  # of the comparison: rounding grows with them
TOLERANCE = 1e-2
"""Of loss and gradient, relative: a discrete choice may fall the other way, few do."""


def main() -> int:
    """Check and time one preset; 0 where all is well."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("preset")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--frames", type=int, default=10, help="of the timed clips")
    parser.add_argument("--steps", type=int, default=20, help="timed, for each batch")
    parser.add_argument("--batches", type=int, nargs="+", default=[4, 16, 64])
    given = parser.parse_args()
    device = pick_device(given.device)
    config = resolve(given.preset, [], {})
    config = fitted(config, open_data(config.data, "train"))
    with fast_pyro():
        agrees = compared(config, device)
        waits(config, device)
        for batch in given.batches:
            timed(config, device, batch, given.frames, given.steps)
    return 0 if agrees else 1


def compared(config: Config, device: torch.device) -> bool:
    """Whether loss and gradient are those of the CPU's compiled renderer, for the same noise."""
    loss, gradient = gradient_on(config, CPU)
    set_backend("torch")  # what a GPU uses anyway
    # Convolutions in TF32 have ten bits: that is how they are timed, but not how they are checked.
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        own_loss, own = gradient_on(config, device)
    set_backend("auto")
    differs = abs(own_loss - loss) / abs(loss)
    slopes = ((own - gradient).norm() / gradient.norm()).item()
    agrees = max(differs, slopes) < TOLERANCE
    print(
        f"  against the CPU: loss {loss:.4f} differs by {differs:.1e}, gradient by {slopes:.1e}: "
        f"{'ok' if agrees else 'NO'}"
    )
    return agrees


def gradient_on(config: Config, device: torch.device) -> tuple[float, Tensor]:
    """Loss and whole gradient of a step on a synthetic video, noise drawn on the CPU."""
    program = build_program(config, device)
    program.drive_to(0)
    step = TrainingStep(program)
    video = synthetic_video(config, 4, FRAMES).to(device)
    torch.manual_seed(0)
    with noise_of_the_cpu():
        loss = step.per_frame(step.estimate(*program.inputs(video, None)).loss, video)
    step.backward(loss)
    slopes = [p.grad.detach().flatten() for p in step.parameters if p.grad is not None]
    return loss.item(), torch.cat(slopes).cpu()


@contextmanager
def noise_of_the_cpu() -> Iterator[None]:
    """The same noise whatever device it is drawn for."""
    rand, randn = torch.rand, torch.randn

    def uniform(shape: Any, *, device: Any = None, dtype: Any = None) -> Tensor:
        return rand(shape, dtype=dtype).to(device or CPU)

    def normal(shape: Any, dtype: Any, device: Any) -> Tensor:
        return randn(shape, dtype=dtype).to(device)

    with (
        patch.object(torch, "rand", uniform),
        patch("torch.distributions.normal._standard_normal", normal),
    ):
        yield


def waits(config: Config, device: torch.device) -> None:
    """Say where the host waits for the GPU in a step: once, to know whether it was finite."""
    if device.type != "cuda":
        print("  synchronisations: none to be seen without a GPU")
        return
    stepper = Stepper(config, 4, FRAMES, device)
    stepper.timed()
    stepper.now()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        loss = stepper.forward()
        stepper.backward(loss)
        stepper.update(loss)
        torch.cuda.set_sync_debug_mode("default")
    places = Counter(f"{each.filename}:{each.lineno}" for each in caught)
    print(f"  synchronisations in a step: {sum(places.values())}, 1 expected")
    for place, count in places.most_common():
        print(f"    {count} at {place}")


def timed(config: Config, device: torch.device, batch: int, frames: int, steps: int) -> None:
    """Say how long a step takes, its phases, and how much memory it takes."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    times = time_steps(Stepper(config, batch, frames, device), steps)
    phases = (times.forward, times.backward, times.optimizer)
    said = ", ".join(f"{1000 * each.median:.1f}" for each in phases)
    total = times.total
    memory = ""
    if device.type == "cuda":
        memory = f", {torch.cuda.max_memory_allocated(device) / 2**20:.0f} MiB"
    print(
        f"  batch {batch}, {frames} frames: {1000 * total.median:.1f} ms a step "
        f"({1000 * total.low:.1f} to {1000 * total.high:.1f}; forward, backward, update {said}), "
        f"{batch / total.median:.1f} clips/s{memory}"
    )


if __name__ == "__main__":
    sys.exit(main())
