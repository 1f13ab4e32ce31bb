"""SCALOR (Jiang et al., ICLR 2020), unsupervised object-centric world models, on Pyro.

    import scalor_ppl

    program = scalor_ppl.train("moving-dsprites-vld", out="runs/vld")
    scores = scalor_ppl.evaluate(program, clips=20)
    tracks = scalor_ppl.track(program, "video.mp4")

``import scalor_ppl`` takes no time: torch and Pyro are imported by the first call.
"""

from scalor_ppl.api import evaluate, generate, infer, load, msd, track, train

__all__ = ["evaluate", "generate", "infer", "load", "msd", "track", "train"]
