"""What all compiled kernels share: how they are compiled, and which boxes they skip.

numba's cache on disk looks only at the file that holds a kernel: after a change here or to the
limits in `torch_backend`, delete the `__pycache__` folder.
"""

# numba's functions are untyped to mypy.
# mypy: disable-error-code="misc,no-untyped-call,untyped-decorator,call-overload"

from collections.abc import Callable
from typing import Any

from numba import boolean, float32

from scalor_ppl.compiled import compiled
from scalor_ppl.render.torch_backend import LARGEST_COORDINATE, SMALLEST_EXTENT

# Not "nnan" and "ninf": the test that skips boxes with NaN must survive optimisation.
FAST = {"nsz", "arcp", "contract", "reassoc"}

# C-contiguous float32 arrays of two to five axes, and flags [F, K].
A2, A3 = float32[:, ::1], float32[:, :, ::1]
A4, A5 = float32[:, :, :, ::1], float32[:, :, :, :, ::1]
ACTIVE = boolean[:, ::1]


def kernel(*signature: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile for one signature, with what kernels of the renderer allow the compiler to do."""
    return compiled(*signature, fastmath=FAST, error_model="numpy")


@kernel()
def kept(where, active, frame, slot):  # type: ignore[no-untyped-def]
    """Whether a slot is active and its box finite and not empty; no array means all active."""
    if active.shape[0] > 0 and not active[frame, slot]:
        return False
    box = where[frame, slot]
    for i in range(4):
        if not abs(box[i]) < LARGEST_COORDINATE:
            return False
    return box[2] > SMALLEST_EXTENT and box[3] > SMALLEST_EXTENT
