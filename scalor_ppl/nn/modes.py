"""Most likely values in place of samples."""

from typing import Any

from pyro.poutine.messenger import Messenger

from scalor_ppl.nn.distributions import LogitRelaxedBernoulli


class MostLikely(Messenger):
    """Give every latent site the mode of its distribution in place of a sample.

    For tracks and pictures, where noise helps nobody. For a Normal the mode is the mean; for
    presence, hard or relaxed, the side of 1/2 on which its probability lies.
    """

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        if msg["is_observed"] or msg["done"] or msg["value"] is not None:
            return
        fn = msg["fn"]
        if isinstance(fn, LogitRelaxedBernoulli):
            msg["value"] = fn.mode
        elif hasattr(fn, "logits"):
            # Not Bernoulli.mode, which is NaN at an even chance.
            msg["value"] = (fn.logits > 0).to(fn.logits)
        elif hasattr(fn, "mean"):
            msg["value"] = fn.mean
