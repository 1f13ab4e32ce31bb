"""A network that reads what tracked objects are: squares, ellipses and hearts, or digits."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scalor_ppl.data import ClipSource
from scalor_ppl.data.toys import Portraits, ToySource
from scalor_ppl.nn.pixels import to_video
from scalor_ppl.realism.extraction import Crops, cut_out

CONFIDENT = 0.9
"""Probability from which an object counts as read."""
_PORTRAITS, _HELD_OUT = 3000, 600
_STEPS, _BATCH, _RATE = 500, 64, 3e-3
_JITTER = 0.08  # of a box's sides: tracked boxes are not exact


@dataclass(frozen=True)
class CropReader:
    """Classifiers of crops, alike but for their seeds.

    How many crops one of them reads with confidence depends on its seed by a tenth and more, so
    shares are those of all of them on average.

    Attributes:
        networks: each from ``[n, C, CROP, CROP]`` in [0, 1] to log-odds ``[n, kinds]``.
        names: of the kinds.
        accuracy: on objects that they were not trained on, 0..1, on average.
    """

    networks: tuple[nn.Module, ...]
    names: tuple[str, ...]
    accuracy: float

    def read(self, crops: Crops) -> dict[str, float] | None:
        """Share of the crops read with confidence, ``confident``; of these, that of each kind.

        Objects that stand alone, wholly in view, count; none where there are no such.
        """
        alone = crops.pixels[crops.alone]
        if not len(alone):
            return None
        found = np.stack([probabilities(network, alone) for network in self.networks])
        sure = found.max(-1) >= CONFIDENT
        counts = np.bincount(found.argmax(-1)[sure], minlength=len(self.names))
        kinds = zip(self.names, (counts / max(sure.sum(), 1)).tolist(), strict=True)
        return {"confident": float(sure.mean()), **dict(kinds)}


@torch.no_grad()
def probabilities(network: nn.Module, pixels: np.ndarray) -> np.ndarray:
    """``[n, kinds]`` of crops ``[n, C, CROP, CROP]`` uint8."""
    found: np.ndarray = network(_values(pixels)).softmax(1).numpy()
    return found


def reader_for(
    training: ClipSource, held_out: ClipSource, seed: int, seeds: int
) -> CropReader | str:
    """A reader trained on the objects of a set, or why there is none.

    Args:
        training: the set's training clips; digits of the two splits differ.
        held_out: its test clips, whose objects give the accuracy.
        seed: of objects and weights.
        seeds: classifiers.
    """
    if not isinstance(training, ToySource) or not isinstance(held_out, ToySource):
        return "what the objects are is known of generated shapes and digits only"
    if training.spec.background:
        return "objects on a moving background are not read"
    names: tuple[str, ...] = ()
    networks, right = [], []
    for own in range(seed, seed + seeds):
        rng = np.random.default_rng(own)
        portraits, unseen = training.portraits(_PORTRAITS, own), held_out.portraits(_HELD_OUT, own)
        network = _trained(portraits, own, rng)
        found = probabilities(network, _cut(unseen, rng)).argmax(1) == unseen.labels
        networks.append(network)
        right.append(found.mean())
        names = portraits.names
    return CropReader(tuple(networks), names, float(np.mean(right)))


def _trained(portraits: Portraits, seed: int, rng: np.random.Generator) -> nn.Module:
    pixels, labels = _cut(portraits, rng), torch.from_numpy(portraits.labels)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        network = _network(pixels.shape[1], len(portraits.names))
        optimizer = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, _STEPS)
        for _ in range(_STEPS):
            rows = rng.integers(0, len(pixels), _BATCH)
            loss = F.cross_entropy(network(_values(pixels[rows])), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def read_all(reader: CropReader, crops: dict[str, Crops | None]) -> dict[str, Any]:
    """What is read of each side, and how well the reader reads."""
    sides = {side: None if each is None else reader.read(each) for side, each in crops.items()}
    return {"accuracy": reader.accuracy, **sides}


def _cut(portraits: Portraits, rng: np.random.Generator) -> np.ndarray:
    """Crops of portraits, boxes a little off."""
    boxes, sides = portraits.boxes, np.tile(portraits.boxes[:, 2:], 2)
    off = boxes + rng.normal(0, _JITTER, boxes.shape) * sides
    frames = to_video(portraits.pictures[None], torch.device("cpu"))[0]
    return cut_out(frames, off[:, None].astype(np.float32))[:, 0]


def _values(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels).float().div_(255)


def _network(channels: int, kinds: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in (16, 32, 64):
        stride = 1 if width == 16 else 2
        layers += [
            nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
        channels = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.2), nn.LazyLinear(kinds))
