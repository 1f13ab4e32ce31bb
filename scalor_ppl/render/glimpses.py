"""Reading glimpses from images, writing them back, and composing frames (paper, algorithm 3).

A box (`where`, see `geometry`) spans a glimpse as a spatial transformer does: glimpse pixels lie at
u in (-1, 1) (`align_corners=False`), image x = centre x + width * u. Interpolation is bilinear and
everything outside an image or a glimpse is zero, exactly as in `grid_sample`. An object touches
only its own window: no function here makes a canvas per object.

Two backends compute the same numbers: matrix products in plain torch (any device, float32 and
float64) and compiled loops over windows (CPU, float32). Half-precision input is cast to float32.
A box that is not finite, or has no extent, is skipped like an inactive one: it gives zeros and gets
zero gradients.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from types import ModuleType
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.amp import is_autocast_available

from scalor_ppl.render import torch_backend

Backend = Literal["auto", "torch", "numba", "library"]

# Added to the summed weight before dividing by it: the colour of a pixel that no object covers.
WEIGHT_EPS = 1e-6
# Likewise where weights are exp(-occlusion * depth), which fall to exp(-FARTHEST) of the nearest's:
# still normal numbers of float32, whose reciprocals do not overflow when they are squared.
OCCLUSION_EPS = 1e-18
FARTHEST = 30.0

_backend: Backend = "auto"


class Frame(NamedTuple):
    """Rendered frames.

    Attributes:
        image: [F, C, H, W] objects over the background.
        mask: [F, 1, H, W] in [0, 1], how far objects cover a pixel.
        foreground: [F, C, H, W] objects over black, that is mask x colour.
    """

    image: Tensor
    mask: Tensor
    foreground: Tensor


def set_backend(name: Backend) -> None:
    """Choose how glimpses are read and written, for the whole process.

    Args:
        name: "torch" (matrix products), "numba" (compiled loops, CPU and float32 only), "auto":
            numba where it can be used, otherwise torch, or "library": as auto, with the compiled
            loops as operations of torch's library, which a graph can hold and which cost more to
            call.
    """
    global _backend
    if name not in get_args(Backend):
        raise ValueError(
            f"no such rendering backend: {name!r}; choose auto, torch, numba or library"
        )
    if name == "numba" and _kernels() is None:
        raise ValueError("rendering backend 'numba' needs numba, which is not installed")
    _backend = name


@contextmanager
def use_backend(name: Backend) -> Iterator[None]:
    """Choose the backend within a `with` block; see `set_backend`."""
    previous = _backend
    set_backend(name)
    try:
        yield
    finally:
        set_backend(previous)


def for_graphs() -> bool:
    """Whether compiled loops are to be called as operations of torch's library."""
    return _backend == "library"


def graph_backend() -> AbstractContextManager[None]:
    """The backend of a function that is traced: as chosen, in operations that a graph can hold."""
    return use_backend("torch" if _backend == "torch" else "library")


@cache
def _kernels() -> ModuleType | None:
    """Load the compiled path, once and only when it is first needed."""
    try:
        from scalor_ppl.render import compiled_backend
    except ImportError:
        return None
    return compiled_backend


@cache
def _operations() -> ModuleType | None:
    """The compiled path as operations of torch's library, likewise."""
    if _kernels() is None:
        return None
    from scalor_ppl.render import library_backend

    return library_backend


def _compiled(*tensors: Tensor) -> ModuleType | None:
    """The compiled path if it is to be used for these tensors, else None."""
    if _backend == "torch":
        return None
    fits = all(t.dtype == torch.float32 and t.device.type == "cpu" for t in tensors)
    if fits:
        return _operations() if _backend == "library" else _kernels()
    if _backend == "numba":
        raise ValueError("rendering backend 'numba' works on float32 CPU tensors only; use 'auto'")
    return None


def uses_compiled(*tensors: Tensor) -> bool:
    """Whether compiled loops are to be used for these tensors; see :func:`set_backend`."""
    return _compiled(*tensors) is not None


def runs_loops(*tensors: Tensor) -> bool:
    """Whether compiled loops are called right away, and not held as operations of a graph."""
    return _backend != "library" and uses_compiled(*tensors)


def _full(tensor: Tensor) -> Tensor:
    """Cast half precision to float32: positions need more digits than it has."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _expect(name: str, tensor: Tensor | None, *shape: int) -> None:
    """Refuse a wrong shape here: broadcast, it would be an error; in a compiled loop, a crash."""
    if tensor is not None and tensor.shape != shape:
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}, expected {shape}")


def _no_autocast(tensor: Tensor) -> AbstractContextManager[Any]:
    """Keep matrix products of tap weights in full precision under mixed precision."""
    kind = tensor.device.type
    # A device without mixed precision refuses to switch it off.
    return torch.autocast(kind, enabled=False) if is_autocast_available(kind) else nullcontext()


def read_glimpses(images: Tensor, where: Tensor, size: tuple[int, int]) -> Tensor:
    """Read a glimpse per box out of each image (a spatial transformer).

    Differentiable in `where` and, where they need it, in the images.

    Args:
        images: [F, C, H, W].
        where: [F, K, 4] boxes in image coordinates.
        size: height and width of a glimpse in pixels.

    Returns:
        [F, K, C, gh, gw].
    """
    _expect("where", where, images.shape[0], where.shape[1], 4)
    images, where = _full(images), _full(where)
    compiled = _compiled(images, where)
    if compiled is not None:
        glimpses: Tensor = compiled.read(images, where, size)
        return glimpses
    with _no_autocast(images):
        return torch_backend.read(images, where, size)


def write_glimpses(
    planes: Tensor, where: Tensor, size: tuple[int, int], active: Tensor | None = None
) -> Tensor:
    """Write glimpses into their boxes and sum over objects (the inverse spatial transformer).

    Linear in the planes; differentiable in planes and boxes.

    Args:
        planes: [F, K, P, gh, gw] P planes per object.
        where: [F, K, 4] boxes in image coordinates.
        size: height and width of the image in pixels.
        active: [F, K] bool; slots that are off add nothing and get zero gradient.

    Returns:
        [F, P, H, W].
    """
    frames, slots = planes.shape[:2]
    _expect("where", where, frames, slots, 4)
    _expect("active", active, frames, slots)
    planes, where = _full(planes), _full(where)
    compiled = _compiled(planes, where)
    if compiled is not None:
        canvas: Tensor = compiled.write(planes, where, size, active)
        return canvas
    with _no_autocast(planes):
        return torch_backend.write(planes, where, size, active)


def composite(
    colour: Tensor,
    mask: Tensor,
    presence: Tensor,
    depth: Tensor,
    where: Tensor,
    background: Tensor | None,
    size: tuple[int, int],
    active: Tensor | None = None,
    occlusion: float | None = None,
) -> Frame:
    """Render frames from their objects and background (paper, Appendix A and algorithm 3).

    Each object has weight gamma = mask * presence * sigmoid(-depth), or, with `occlusion`,
    mask * presence * exp(-occlusion * depth), see `importance`. Colour is the weighted mean of
    the objects' at a pixel, sum(colour * gamma) / sum(gamma); a pixel is covered by
    M = min(sum(mask * presence), 1), and the image is M * colour + (1 - M) * background.
    The weight is interpolated together with colour x weight, so that edges do not bleed black.

    The paper writes x = x_fg + (1 - M) * x_bg with x_fg the normalised sum of colour x gamma. Where
    one object alone covers a pixel, M * colour is exactly its alpha-blended colour; without the
    factor M the edge of a mask would be counted twice, once here and once in the background.

    Args:
        colour: [F, K, C, gh, gw] in [0, 1].
        mask: [F, K, 1, gh, gw] in [0, 1].
        presence: [F, K] in [0, 1].
        depth: [F, K] real; smaller is nearer.
        where: [F, K, 4] boxes in image coordinates.
        background: [F, C, H, W] in [0, 1], or None for black.
        size: height and width of the image in pixels.
        active: [F, K] bool; slots that are off are skipped and get zero gradient.
        occlusion: how sharply what is nearer hides what is farther; none is the paper's sigmoid.

    Returns:
        The frames: image, mask, and objects over black.
    """
    frames, slots, channels, rows, columns = colour.shape
    _expect("mask", mask, frames, slots, 1, rows, columns)
    _expect("presence", presence, frames, slots)
    _expect("depth", depth, frames, slots)
    _expect("where", where, frames, slots, 4)
    _expect("background", background, frames, channels, *size)
    _expect("active", active, frames, slots)
    presence, depth, where = _full(presence), _full(depth), _full(where)
    colour, mask = _full(colour), _full(mask)
    if active is not None:
        # Selected before the product: a NaN in a slot that is off must not reach a gradient.
        presence = torch.where(active, presence, torch.zeros_like(presence))
        depth = torch.where(active, depth, torch.zeros_like(depth))
    weight = presence * importance(presence, depth, occlusion)
    eps = WEIGHT_EPS if occlusion is None else OCCLUSION_EPS
    tensors = [colour, mask, presence, weight, where]
    if background is not None:
        background = _full(background)
        tensors.append(background)
    arguments = (colour, mask, presence, weight, where, background, size, active, eps)
    compiled = _compiled(*tensors)
    if compiled is not None:
        return Frame(*compiled.composite(*arguments))
    with _no_autocast(colour):
        return Frame(*torch_backend.composite(*arguments))


def importance(presence: Tensor, depth: Tensor, occlusion: float | None) -> Tensor:
    """How much an object counts where it overlaps others, by its depth.

    The paper's sigmoid(-depth) is near 1 for all that is near: two such objects are blended. The
    exponential has no such limit. The ratio of two objects' is exp(occlusion * difference) wherever
    they lie, so only differences count; the nearest of a frame has 1, and what lies more than
    `FARTHEST` / occlusion behind it is as far as that.

    Args:
        presence: [F, K] in [0, 1]; slots of presence 0 are not looked at.
        depth: [F, K] real; smaller is nearer.
        occlusion: above 0; none is the paper's sigmoid.

    Returns:
        [F, K] in (0, 1].
    """
    if occlusion is None:
        return torch.sigmoid(-depth)
    shown = torch.where(presence > 0, depth, torch.full_like(depth, torch.inf))
    nearest = shown.amin(1, keepdim=True).detach()
    return torch.exp(-(occlusion * (depth - nearest)).clamp(0, FARTHEST))


def mass_moments(rows: int, columns: int) -> Tensor:
    """What a mask's weight is multiplied by: x, y and 1 of each pixel, ``[rows * columns, 3]``."""
    like = torch.zeros(())
    y, x = torch.meshgrid(
        torch_backend.pixel_centres(rows, like),
        torch_backend.pixel_centres(columns, like),
        indexing="ij",
    )
    return torch.stack((x, y, torch.ones_like(x)), -1).flatten(0, 1)


def mass_centre(mask: Tensor, moments: Tensor | None = None) -> Tensor:
    """Where a mask's weight lies within its glimpse, differentiable.

    The weight is the squared mask, so that a faint halo about an object does not count.

    Args:
        mask: [..., gh, gw] in [0, 1].
        moments: ``mass_moments(gh, gw)``, made once; none makes them.

    Returns:
        [..., 2] (x, y), -1 the glimpse's left (upper) edge and 1 its right (lower) one; near 0
        where the mask is empty.
    """
    rows, columns = mask.shape[-2:]
    if moments is None:
        moments = mass_moments(rows, columns).to(mask)
    along, total = (mask.square().flatten(-2) @ moments).split((2, 1), -1)
    # A glimpse of which a thousandth is covered is nearly empty: its centre is of no account.
    return along / (total + 1e-3 * rows * columns)


@torch.no_grad()
def overlap_share(
    mask: Tensor,
    where: Tensor,
    canvas_mask: Tensor,
    mask_threshold: float = 0.3,
    canvas_threshold: float = 0.1,
) -> Tensor:
    """Share of each proposed mask that propagated objects already cover (paper 3.1, algorithm 1).

    ``delta = |m_D and M_P| / |m_D|`` on thresholded masks. It is counted on the proposal's own
    glimpse pixels, at which the canvas is read: no canvas per proposal. As on a canvas, pixels
    outside the view count neither above nor below.

    Args:
        mask: [F, N, gh, gw] proposed masks in [0, 1].
        where: [F, N, 4] boxes in image coordinates.
        canvas_mask: [F, 1, H, W] mask of the propagated objects in [0, 1].
        mask_threshold: a glimpse pixel above this belongs to the proposal.
        canvas_threshold: a pixel above this is covered.

    Returns:
        [F, N] in [0, 1], without gradient; 0 where the proposed mask is empty.
    """
    mask, where = _full(mask), _full(where)
    size = (mask.shape[-2], mask.shape[-1])
    read = read_glimpses(_full(canvas_mask), where, size).squeeze(2)
    compiled = _kernels() if runs_loops(mask, where) else None
    if compiled is not None:
        share: Tensor = compiled.overlap(mask, read, where, mask_threshold, canvas_threshold)
        return share
    by_row, by_column = _inside(where, size)
    own = (mask > mask_threshold) & by_row.unsqueeze(-1) & by_column.unsqueeze(-2)
    both = (own & (read > canvas_threshold)).sum((-2, -1))
    return both / own.sum((-2, -1)).clamp(min=1)


@torch.no_grad()
def visible_pixels(mask: Tensor, where: Tensor, size: tuple[int, int]) -> Tensor:
    """Pixels of the view that each mask covers.

    The sum of the mask over glimpse pixels whose centre lies inside the view, times the image
    pixels per glimpse pixel.

    Args:
        mask: [F, K, gh, gw] in [0, 1].
        where: [F, K, 4] boxes in image coordinates.
        size: height and width of the view in pixels.

    Returns:
        [F, K] pixels, without gradient; 0 for a box that is not usable.
    """
    mask, where = _full(mask), _full(where)
    rows, columns = mask.shape[-2:]
    compiled = _kernels() if runs_loops(mask, where) else None
    if compiled is not None:
        pixels: Tensor = compiled.visible(mask, where, size)
        return pixels
    by_row, by_column = _inside(where, (rows, columns))
    inside = by_row.unsqueeze(-1) & by_column.unsqueeze(-2)
    covered = torch.where(inside, mask, torch.zeros_like(mask)).sum((-2, -1))
    area = where[..., 2] * where[..., 3] * (size[0] * size[1] / (rows * columns))
    kept = torch_backend.usable(where)
    return torch.where(kept, covered * area, torch.zeros_like(covered))


def _inside(where: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Which glimpse rows [F, K, gh] and columns [F, K, gw] lie inside the view."""
    centre_x, centre_y, wide, high = where.unsqueeze(-1).unbind(2)
    y = centre_y + high * torch_backend.pixel_centres(size[0], where)
    x = centre_x + wide * torch_backend.pixel_centres(size[1], where)
    return y.abs() < 1, x.abs() < 1
