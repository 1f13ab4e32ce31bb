"""A propagation prior that tells motion and looks from the noise of a posterior."""

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from scalor_ppl.nn.distributions import Gaussian, Presence, diagonal_normal
from scalor_ppl.nn.gathered import GatheredGRUCell
from scalor_ppl.nn.layers import inverse_softplus, mlp, positive, starting_small
from scalor_ppl.nn.mixtures import Product
from scalor_ppl.nn.tempered import FreeMixture
from scalor_ppl.scalor.priors import first_movement, futures
from scalor_ppl.scalor.priors.base import ObjectDistributions, PropagationPrior
from scalor_ppl.scalor.priors.bodies import Bodies, own_their_reach
from scalor_ppl.scalor.priors.contacts import Walls
from scalor_ppl.scalor.priors.filtering import (
    AGES,
    LEAST,
    Corrected,
    Filtered,
    Innovation,
    Outlook,
    Transitions,
    first_gains,
    whole,
)
from scalor_ppl.scalor.priors.first_movement import LEAST_NOISE, FirstMovement, FirstMoves
from scalor_ppl.scalor.priors.futures import (
    BENDS,
    HIT,
    STRAIGHT,
    TURNS,
    Futures,
    Turning,
    combined,
    log_chances,
)
from scalor_ppl.scalor.priors.pairs import MESSAGE, PairForces
from scalor_ppl.scalor.priors.propagation import SURVIVAL
from scalor_ppl.scalor.priors.tables import Table
from scalor_ppl.scalor.priors.turning_points import (
    TrackedStretches,
    TurningPoints,
    WallsBySide,
    deviations,
    turning_points,
)
from scalor_ppl.scalor.settings import ModelConfig
from scalor_ppl.scalor.slots import Objects, Trackers

COMPONENTS = 6
# How much wider the last component is before training, before softplus.
WIDEST = 3.0
# For which share of a training the components lie in one place, and ways may bend everywhere.
TOGETHER = 0.5
# Least unit of what networks are told.
LEAST_EXTENT = 0.05
# Log-odds before training of being brought back to one's pace; a speed that is none, in steps.
LOOSE, STILL = -2.0, 1e-2
# How unsure contacts are before training, in steps, before softplus.
ROUGH, SURE = -2.0, -0.3
# Age from which the pace is that of frames in which all of the object is in view.
CUT = 3
# A movement stays this far within the largest step, as a share of it.
MARGIN = 0.995


class DynamicsPropagation(PropagationPrior):
    """p(z^P_t | z_<t) as an observer's: a filter of each object's motion and looks.

    What a posterior says of an object jitters about what the object does. A prior that starts from
    the last value takes the jitter for motion, and what is sampled from it walks at random and
    morphs. Here the state holds filtered positions, velocities and looks, which a frame corrects by
    learned gains (the innovations form of a Kalman filter, whose gains depend on age and on what a
    network sees), and the next frame's latents lie about what these foresee:

        centre' = centre + step (velocity + wall, pair and own pushes)
        movement ~ mixture of normals about the way from the last value to centre'
        size, depth, z_what ~ normal about what they always are, and what passes,

    with a component for each of what may become of an object: it goes on, collides, turns round
    (:mod:`.futures`). Pushes are those of walls and collisions (:mod:`.contacts`), those of pairs
    (:mod:`.pairs`) and a network's of position, velocity, size and the GRU's state. The other
    components are for what neither explains, outliers of the posterior. In the first half of a
    training they lie where the object goes straight on, and differ by their widths only: what the
    dynamics can explain is not to be put aside for a component. What is new has a mixture of its
    own (:mod:`.first_movement`).

    A filter of real objects is put right by every frame, and learns little from a bias that is
    small against the noise. What is sampled has nothing to be put right by: so nothing may draw
    speeds or looks to their average. What pushes an object changes its velocity too; looks go back
    to the object's own; a speed goes back to the object's own.

    To be trained at draws of a posterior (:mod:`scalor_ppl.scalor.prior_training`), also by what it
    foresees of several frames (:mod:`scalor_ppl.scalor.overshooting`).

    Args:
        config: of the model.
        survival: log-odds of survival before training.

    Attributes:
        blind: whether nothing is put right by what is seen, but for which future comes true.
        forks: whether ways may fork.
    """

    forks = False
    step: Tensor
    unit: Tensor
    least: Tensor
    middle: Tensor
    extent: Tensor

    def __init__(self, config: ModelConfig, survival: float = SURVIVAL) -> None:
        super().__init__(config)
        self.survival = survival
        self.together = False
        self.blind = False
        hidden, rest = config.hidden, 3 + config.what
        self.rest = rest
        outlook = 5 * COMPONENTS - 1 + rest
        self.futures = STRAIGHT + BENDS * self.forks + TURNS
        self.widths = (hidden, outlook, 2, 2, 1, rest, rest, futures.WIDTH * self.futures, 1)
        height, width = config.height or 1, config.width or 1
        step = torch.tensor(config.max_step).expand(2)
        self.register_buffer("step", step, persistent=False)
        # Image coordinates in units of the mean step, the same along x and y.
        extent = torch.tensor([width, height]) / 2
        self.register_buffer("unit", extent / (step * extent).mean(), persistent=False)
        # What the networks are told of size, depth and z_what has mean 0 and deviation 1.
        self.register_buffer("middle", torch.zeros(rest))
        self.register_buffer("extent", torch.ones(rest))
        self.gains = Table(first_gains(rest))
        least = torch.tensor([LEAST[0]] * 2 + [LEAST[1]] * 2 + [0.0] * 2 * rest)
        self.register_buffer("least", least, persistent=False)
        self.trust = starting_small(mlp(hidden + 4, hidden, 4 + 2 * rest))
        self.embed = nn.Linear(6 + 1 + rest, hidden)
        self.cell = GatheredGRUCell(hidden, hidden)
        self.pairs = PairForces(rest)
        self.walls = Walls(self.unit)
        self.push = starting_small(mlp(6 + rest + hidden + MESSAGE, hidden, hidden, 2))
        self.foresee = nn.Linear(6 + rest + hidden + MESSAGE, hidden)
        self.hold = starting_small(mlp(6, hidden, 1))
        self.turns = Turning(6, hidden, forks=self.forks)
        self.change = starting_small(mlp(6 + MESSAGE, hidden, rest))
        self.stay = starting_small(mlp(hidden, hidden, rest))
        self.head = starting_small(mlp(hidden, hidden, outlook))
        self.first = FirstMovement(6 + rest, hidden)
        # How much farther than by its noise an object may lie after it met another one, or a wall.
        self.rough = Table(torch.full((2,), ROUGH))
        self.bodies = Bodies(rest)
        self.noise = Table(torch.cat((torch.full((2,), -2.0), torch.full((rest,), -2.0))))
        with torch.no_grad():
            head = self.head[-1]
            assert isinstance(head, nn.Linear)
            head.bias[1] = 2.0
            hold = self.hold[-1]
            assert isinstance(hold, nn.Linear)
            hold.bias.fill_(LOOSE)
            # Components that are alike would stay alike.
            head.bias[1 + COMPONENTS : 3 * COMPONENTS - 1].normal_(0, 0.1)
            widths = torch.linspace(0, WIDEST, COMPONENTS).repeat_interleave(2)
            head.bias[3 * COMPONENTS - 1 : 5 * COMPONENTS - 1] = widths

    def complete(self, weights: dict[str, Tensor], prefix: str) -> None:
        """There were no widths, no bodies; see :class:`scalor_ppl.nn.older.ReadsOlder`."""
        weights.setdefault(f"{prefix}rough.change", torch.full_like(self.rough.change, SURE))
        own_their_reach(weights, prefix)

    def initial(self, shape: tuple[int, int]) -> Tensor:
        """The state of objects just discovered: nothing is known of them."""
        return self.zero.expand(*shape, sum(self.widths))

    def filtered(self, state: Tensor) -> Filtered:
        """What a state ``[B, K, hidden]`` holds."""
        return Filtered(*state.split(self.widths, -1))

    def update(self, state: Tensor, trackers: Trackers) -> Tensor:
        """Correct what was foreseen by the frame, and foresee the next one."""
        before = self.filtered(state)
        now = self._corrected(before, trackers.objects)
        centre, velocity, rest, age = now.centre, now.velocity, now.rest, now.age
        place, speed = centre * self.unit, velocity * self.step * self.unit
        # Networks are told where things are in steps, in which walls and neighbours are sharp.
        told = torch.zeros_like(place) if self.config.anywhere else place
        moving = torch.cat((told, told + speed, speed), -1)
        seen = torch.celu(self.embed(torch.cat((now.surprise, speed, told, 1 / age, rest), -1)))
        hidden = self.cell(seen.flatten(0, 1), before.hidden.flatten(0, 1))
        hidden = hidden.unflatten(0, age.shape[:2])
        size = trackers.objects.where[..., 2:] * self.unit
        body = self.bodies(rest, size)
        pushes = self.pairs(place, speed, body, rest, trackers.alive)
        known = torch.cat((moving, rest, hidden, pushes.message), -1)
        scale = self.step * self.unit
        # What moves an object for no cause that is known changes how it goes on as well: where it
        # does not, what is sampled goes slower and slower.
        own = self.push(known)
        # What was slowed down, or seems to be where an edge cuts it, goes on as it did before.
        fast = velocity.norm(dim=-1, keepdim=True)
        own = own + torch.sigmoid(self.hold(moving)) * (now.pace - fast) * velocity / (fast + STILL)
        wall = self.walls(place + body.offset, speed, size)
        if self.config.anywhere:
            # Crops have edges where the frame has none.
            wall = wall._replace(chance=torch.zeros_like(wall.chance))
        (turned, drift), hit = wall.bounce, pushes.contact.bounce
        ways = (own + pushes.position / scale)[..., None, :] + combined(drift, hit.position) / scale
        speeds = (own + pushes.velocity / scale)[..., None, :] + combined(
            turned, hit.velocity
        ) / scale
        # Where it comes to after a contact is less sure than where it goes on.
        rough = nn.functional.softplus(self.rough()).expand(*age.shape[:2], 2).unbind(-1)
        # No object is faster than the largest step.
        ways = (velocity[..., None, :] + ways).clamp(-1, 1)
        straight = Futures(
            centre[..., None, :] + self.step * ways,
            (velocity[..., None, :] + speeds).clamp(-1, 1),
            combined(rough[1][..., None], rough[0][..., None]).expand_as(ways),
            log_chances(wall.chance, pushes.contact.chance),
        )
        meets = pushes.contact.chance > 0
        coming = self.turns(
            moving, meets, centre, velocity, straight, self.step, self.unit, often=self.together
        )
        foresight = torch.celu(self.foresee(known))
        # Of where it is and whom it meets, not of what it is: each would change to the average.
        passing = torch.sigmoid(self.stay(foresight)) * now.passing
        passing = passing + self.change(torch.cat((moving, pushes.message), -1))
        moved = hidden, self.head(foresight), centre, velocity, now.pace
        return torch.cat((*moved, rest, passing, coming.flat(), age), -1)

    def innovation(self, before: Filtered, objects: Objects) -> Innovation:
        """How far what is seen lies from what was foreseen; nothing was of what is new."""
        new = before.age == 0
        # Which of its futures has come true is seen, and the others are forgotten.
        ahead = before.ahead
        outlook, seen = self._outlook(before), objects.where[..., :2]
        width = outlook.width[..., :1, :] + ahead.spread
        astray = outlook.astray(ahead, self.step, seen)
        likely = ahead.judged(seen, width * self.step, astray)
        centre = (likely[..., None] * ahead.centre).sum(-2)
        place = (seen - centre) / self.step
        rest = (objects.rest - self.middle) / self.extent - before.rest - before.passing
        place, rest = (off.masked_fill(new, 0.0) for off in (place, rest))
        return Innovation(likely, likely[..., -TURNS:], centre, place, rest)

    def _corrected(self, before: Filtered, objects: Objects) -> Corrected:
        """What was foreseen, put right by what is seen."""
        new = before.age == 0
        likely, turned, ahead, surprise, other = self.innovation(before, objects)
        if self.blind:
            surprise, other = surprise * turned, torch.zeros_like(other)
        near, turn, always, briefly = self._gains(before, surprise).split(
            (2, 2, self.rest, self.rest), -1
        )
        # Where in the frame it turned is only seen, and tells nothing of its velocity.
        near, turn = torch.lerp(near, torch.ones_like(near), turned), (1 - turned) * turn
        # The first movement is all that is known of the velocity: less would make it slower.
        turn = torch.where(before.age == 1, torch.ones_like(turn), turn)
        centre = torch.where(new, objects.where[..., :2], ahead + near * surprise * self.step)
        velocity = (likely[..., None] * before.ahead.velocity).sum(-2) + turn * surprise
        seen = (objects.rest - self.middle) / self.extent
        rest = torch.where(new, seen, before.rest + always * other)
        passing = before.passing + briefly * other
        age = before.age + 1
        # Nothing is known of a velocity in the first frame; who is hit has another pace since.
        speed = velocity.norm(dim=-1, keepdim=True)
        pace = before.pace + (speed - before.pace) / (age - 1).clamp(min=1)
        # What an edge cuts seems slower than it is.
        pace = torch.where((age > CUT) & ~whole(objects.where), before.pace, pace)
        pace = torch.lerp(pace, speed, likely[..., HIT].sum(-1, keepdim=True))
        return Corrected(centre, velocity, pace, rest, passing, surprise, age)

    def _gains(self, before: Filtered, surprise: Tensor) -> Tensor:
        """How far the frame corrects centre, velocity and the rest, 0 to 1."""
        age = before.age.squeeze(-1).long().clamp(max=AGES - 1)
        seen = torch.cat((before.hidden, surprise, surprise.abs()), -1)
        share = torch.sigmoid(self.gains()[age] + self.trust(seen))
        # Pushes that are learned wrong would carry what is foreseen away from what is seen.
        return self.least + (1 - self.least) * share

    @torch.no_grad()
    def begin(self, steps: Transitions, stretches: TrackedStretches) -> None:
        """Begin from a posterior's draws: in their units, and as unsure as they are.

        A prior that is sure of what it does not know learns from its first steps to drive
        velocities to their bounds, where no gradient leads back.

        Args:
            steps: of tracked objects, R >= 2.
            stretches: of them.
        """
        self.middle.copy_(steps.rest.mean(0))
        self.extent.copy_(steps.rest.std(0).clamp(min=LEAST_EXTENT))
        turns = turning_points(stretches, self.unit)
        self._measure_bodies(turns, self.walls.begin(turns))
        noise = torch.cat((steps.moves, steps.changes / self.extent), -1).square().mean(0).sqrt()
        self.noise.put(inverse_softplus(noise.clamp(min=LEAST_NOISE)))
        if steps.first.any():
            self.first.begin(steps.moves[steps.first], steps.settled[steps.first])

    @torch.no_grad()
    def measure(self, stretches: TrackedStretches) -> None:
        """Measure what is not learned by likelihood alone, of objects as in `begin`."""
        turns = turning_points(stretches, self.unit)
        self._measure_bodies(turns, self.walls.measure(turns))

    def _measure_bodies(self, turns: TurningPoints, walls: WallsBySide) -> None:
        rest, *known = deviations(turns, walls)
        self.bodies.measure((rest - self.middle) / self.extent, *known)

    def progress(self, share: float) -> None:
        """Put the components together in the first half of a training, and let ways bend."""
        self.together = share < TOGETHER

    def forward(self, presence: Presence, state: Tensor, trackers: Trackers) -> ObjectDistributions:
        """Distributions of the trackers' next latents, batch shape ``[B, K]``."""
        known = self.filtered(state)
        outlook = self._outlook(known)
        moves = self._moves(known, outlook, trackers.objects.where[..., :2])
        loc = self.middle + self.extent * (known.rest + known.passing)
        scale = self.extent * outlook.scale
        return ObjectDistributions(
            presence.distribution(outlook.survive.squeeze(-1) + self.survival),
            Product((moves, diagonal_normal(loc[..., :2], scale[..., :2]))),
            Gaussian(loc[..., 2], scale[..., 2]),
            diagonal_normal(loc[..., 3:], scale[..., 3:]),
        )

    def _outlook(self, known: Filtered) -> Outlook:
        survive, weights, offset, width, scale = known.outlook.split(
            (1, COMPONENTS, 2 * COMPONENTS - 2, 2 * COMPONENTS, self.rest), -1
        )
        noise = self.noise()
        return Outlook(
            survive,
            weights,
            offset.unflatten(-1, (COMPONENTS - 1, 2)) * (not self.together),
            positive(width.unflatten(-1, (COMPONENTS, 2)) + noise[:2]),
            positive(scale + noise[2:]),
        )

    def first_moves(self, known: Filtered) -> FirstMoves:
        """How what is new moves, by where it is and how it looks."""
        place = known.centre * self.unit
        told = torch.zeros_like(place) if self.config.anywhere else place
        edge = torch.exp(-(self.walls.edge - told.abs()).clamp(min=0))
        first: FirstMoves = self.first(torch.cat((told, edge, edge * told.sign(), known.rest), -1))
        return first

    def _moves(self, known: Filtered, outlook: Outlook, last: Tensor) -> FreeMixture:
        """The movement: the futures, and outliers; of what is new its velocities."""
        new = known.age < 2
        # The first lie where the dynamics lead.
        ways = (known.ahead.centre - last[..., None, :]) / self.step
        astray = ways[..., :1, :] + outlook.offset
        ways = torch.atanh(torch.cat((ways, astray), -2).clamp(-MARGIN, MARGIN))
        width = outlook.width
        width = torch.cat((width[..., :1, :] + known.ahead.spread, width[..., 1:, :]), -2)
        weights = outlook.weights
        weights = torch.cat((weights[..., :1] + known.ahead.log_chance, weights[..., 1:]), -1)
        first = self.first_moves(known)
        loc, scale = torch.cat((ways, first.loc), -2), torch.cat((width, first.scale), -2)
        logits = torch.cat(
            (
                weights.masked_fill(new, -torch.inf),
                first.logits.masked_fill(~new, -torch.inf),
            ),
            -1,
        )
        # Where an object turns is no jitter. What neither the dynamics nor a turn explains is an
        # outlier of the posterior: in a video no object jumps.
        number = torch.arange(loc.shape[-2], device=loc.device)
        free = (number >= self.futures - TURNS) & (number < self.futures)
        outlier = (number >= self.futures) & (number < weights.shape[-1])
        # Nor is anything found badly, of which the velocity is none.
        badly = number >= len(number) - first_movement.ASTRAY
        return FreeMixture(
            dist.Categorical(logits=logits),
            diagonal_normal(loc, scale),
            free.expand(loc.shape[:-1]),
            torch.where(outlier[:, None], loc[..., :1, :], loc),
            badly.expand(loc.shape[:-1]),
        )


class ForkingPropagation(DynamicsPropagation):
    """The dynamics where a way may fork: an object bends to one side or the other.

    That takes long to learn, and what never forks is less steady with it: for scenes in which
    objects choose their way.

    Args:
        config: of the model.
        survival: log-odds of survival before training.
    """

    forks = True
