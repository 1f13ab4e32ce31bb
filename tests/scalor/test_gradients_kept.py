"""Loss and gradients of a step are those that it had before its operations were made fewer.

The numbers are of the commit before, in double precision, in which what is computed in another
order agrees to 14 digits.
"""

import pytest
import torch

from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.programs.configuration import resolve
from scalor_ppl.render.glimpses import use_backend
from scalor_ppl.studies.benchmark.run import filled
from scalor_ppl.studies.benchmark.step import Stepper

# Settings, loss, and the norms of the gradients of model and guide.
KEPT = [
    ((), 28293.70736048455, 519.1574132629725, 16771.89274733399),
    (
        ("model.centred=false", "guide.correct=false"),
        *(28240.6553010746, 518.6036242489195, 11165.488067992717),
    ),
    (
        ("model.proposals=64", "guide.mask=everywhere"),
        *(28642.782982156023, 502.0230144875043, 16934.89887745209),
    ),
    (
        ("model.presence=hard", "train.estimator=vimco", "train.particles=2"),
        *(28013.758060939945, 798.8288874608936, 52235.51903846581),
    ),
]


@pytest.mark.parametrize(("changes", "loss", "model", "guide"), KEPT)
def test_loss_and_gradients(
    changes: tuple[str, ...], loss: float, model: float, guide: float
) -> None:
    config = filled(resolve("moving-dsprites-vld", changes, {}))
    with fast_pyro(), use_backend("torch"), torch.random.fork_rng():
        torch.manual_seed(0)
        stepper = Stepper(config, 2, 4, torch.device("cpu"))
        with torch.no_grad():
            # So that what starts at zero has a gradient too.
            for parameter in stepper.parameters:
                parameter.add_(0.03 * torch.randn_like(parameter))
        for part in stepper.program.parts.values():
            part.double()
        stepper.video = stepper.video.double()
        torch.manual_seed(1)
        found = stepper.forward()
        stepper.backward(found)
    assert found.item() == pytest.approx(loss, rel=1e-6)
    for name, norm in (("model", model), ("guide", guide)):
        slopes = [p.grad for p in stepper.program.parts[name].parameters() if p.grad is not None]
        assert torch.nn.utils.get_total_norm(slopes).item() == pytest.approx(norm, rel=1e-5)
