"""How much of boxes is in view, and how much of them lies under others."""

import numpy as np


def covered_share(boxes: np.ndarray, living: np.ndarray) -> np.ndarray:
    """[T, K] share of each box under the others, added up over these, at most 1."""
    low, high = boxes[..., :2], boxes[..., :2] + boxes[..., 2:]
    common = np.minimum(high[:, :, None], high[:, None]) - np.maximum(low[:, :, None], low[:, None])
    shared = np.maximum(common, 0).prod(-1)  # [T, K, K]
    rows = np.arange(boxes.shape[1])
    shared[:, rows, rows] = 0
    shared = np.where(living[:, :, None] & living[:, None], shared, 0)
    return (shared.sum(-1) / np.maximum(boxes[..., 2:].prod(-1), 1.0)).clip(0, 1)


def share_in_view(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """[T, K] share of each box within the view; 1 where there is none."""
    low = np.maximum(boxes[..., :2], 0)
    high = np.minimum(boxes[..., :2] + boxes[..., 2:], size[::-1])
    area = boxes[..., 2:].prod(-1)
    inside = np.maximum(high - low, 0).prod(-1)
    return np.where(area > 0, inside / np.maximum(area, 1e-9), 1.0)
