"""The clips that a run was trained on, where they are others than those held out."""

import numpy as np

from scalor_ppl.config.schema import Config, DataConfig
from scalor_ppl.data import REGISTERED, make_batch
from scalor_ppl.realism.sides import RealismQuestion
from scalor_ppl.training.sources import open_data


def training_clips(
    config: Config, data: DataConfig, question: RealismQuestion
) -> np.ndarray | None:
    """The clips that training began with, ``[N, T, H, W, C]`` uint8, not augmented.

    None of a recording, which is trained on as a whole.

    Args:
        config: of the run.
        data: its own data, with the folder of files that they need here.
        question: how many, how long.
    """
    if data.source not in REGISTERED:
        return None
    source, train = open_data(data, "train"), config.train
    batches = -(-question.videos // train.batch)
    clips = [
        make_batch(source, n, batch=train.batch, frames=question.frames, seed=train.seed).video
        for n in range(min(batches, train.steps))
    ]
    return np.concatenate(clips)[: question.videos]
