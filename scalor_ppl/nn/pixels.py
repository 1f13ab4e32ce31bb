"""Frames as videos hold them, and as programs see them."""

import numpy as np
import torch
from torch import Tensor


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """An array on a device; a GPU fetches it while the host goes on."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def to_video(frames: np.ndarray, device: torch.device) -> Tensor:
    """Frames ``[B, T, H, W, C]`` uint8 to the model's ``[B, T, C, H, W]`` in [0, 1]."""
    pixels = to_device(frames, device)
    return pixels.permute(0, 1, 4, 2, 3).float().div_(255)


def to_frames(video: Tensor) -> np.ndarray:
    """The model's ``[B, T, C, H, W]`` in [0, 1] to frames ``[B, T, H, W, C]`` uint8."""
    pixels = video.detach().clamp(0, 1).mul(255).round().byte()
    return pixels.permute(0, 1, 3, 4, 2).cpu().numpy()
