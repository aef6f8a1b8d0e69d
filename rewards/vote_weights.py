r"""Weights of votes: how much each rollout's vote counts, from certainty, text, length or history.

A weight is a callable `Group -> list[float | None]`, one number from 0 on per rollout, None for one
that it cannot weigh, which then weighs nothing. To add one, write it here or in a file of its own,
and name it in `VOTE_WEIGHTS`; somebody's own is named as `file.py:name`. One that needs token
statistics says so with `needs_token_statistics = True`; one with `observe`, `state_dict` and
`load_state_dict` remembers earlier steps (rl/types.py).
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any, ClassVar, Literal

from rewards.own_code import OwnCode
from rewards.program_votes import ProgramVotes
from rewards.self_certainty import SelfCertainty
from rewards.sequence_probability import SequenceProbability
from rewards.token_entropy import mean_or_none
from rl.answers import last_box, same_answer
from rl.answers.repetition import repeated_ngram_share
from rl.errors import InputError
from rl.plugins import Contract, find
from rl.settings import Finite, NonNegative, Share, build, checked
from rl.types import Group, Reward, TokenStatistics

WEIGHT = Contract(takes=("group",))


class RemembersVotes:
    """The memory of a reward whose weight of votes, in `_weigh`, may have one."""

    _weigh: Any

    def observe(self, groups: Iterable[Group]) -> None:
        """Show a batch to the weight, if it remembers."""
        if hasattr(self._weigh, "observe"):
            self._weigh.observe(groups)

    def state_dict(self) -> dict[str, Any]:
        """Return the weight's memory as plain JSON, empty if it has none."""
        return self._weigh.state_dict() if hasattr(self._weigh, "state_dict") else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace the weight's memory by one that `state_dict` returned."""
        if hasattr(self._weigh, "load_state_dict"):
            self._weigh.load_state_dict(state)


def equal(group: Group) -> list[float | None]:
    """Weigh all votes alike, which is the plain majority vote."""
    return [1.0 for _ in group.rollouts]


@checked
@dataclass(frozen=True, kw_only=True)
class Borda:
    """Weigh a vote by the rank of its certainty among the group's.

    w_i = (N - r_i + 1)^power,  r_i = 1 for the most certain of N rollouts

    Certainty is the mean of KL(uniform || policy) over the tokens (`rewards.self_certainty`).
    Equally certain rollouts share the mean of their ranks, so that their order plays no part.

    Source: Scalable Best-of-N Selection via Self-Certainty, arXiv 2502.18581, section 4, equation
    11; the default power is the rule of thumb of section 6.2, which leaves 16 < N < 32 open: there
    we take 0.3. 0 is the plain vote.

    Attributes:
        power: At least 0; None: 0.3 for N < 32, 1.2 from 32 on.
    """

    needs_token_statistics: ClassVar[bool] = True
    power: NonNegative | None = None

    def __call__(self, group: Group) -> list[float | None]:
        """Weigh a group's votes: from 1 to N^power; None without token statistics."""
        certainties = SelfCertainty()(group)
        known = [value for value in certainties if value is not None]
        power = self.power if self.power is not None else (0.3 if len(known) < 32 else 1.2)

        def weight(value: float) -> float:
            num_below = sum(other < value for other in known)
            num_equal = sum(other == value for other in known)
            return (num_below + (num_equal + 1) / 2) ** power

        return [None if value is None else weight(value) for value in certainties]


@checked
@dataclass(frozen=True, kw_only=True)
class StepConfidence:
    r"""Weigh a vote by the mean confidence of its steps, each step counting alike.

    w_i = (1/S_i) sum_s (1/|s|) sum_{t in s} C_it,  s: the steps of rollout i

    A step ends with a token that writes the separator; what follows the last one is a step too.

    Source: SCOPE, arXiv 2512.15146, "step-wise confidence", C_t the mean of -log p over the k
    likeliest tokens. Reference code: szu-tera/SCOPE at e1891aa, verl/trainer/ppo/myutils.py.
    Differs: `confidence="self_certainty"` takes the whole vocabulary for k and leaves out the
    constant log |V|, which makes it KL(uniform || policy). `confidence="reference_code"` is what
    the code computes as released: vLLM is asked for no further log-probabilities, so the one token
    is the sampled one, and C_t = -log p_t weighs *unlikely* text more; rounded to 3 digits there.

    Attributes:
        confidence: As above.
        separator: Text that ends a step.
    """

    needs_token_statistics: ClassVar[bool] = True
    confidence: Literal["self_certainty", "reference_code"] = "self_certainty"
    separator: str = "\n\n"

    def __call__(self, group: Group) -> list[float | None]:
        """Weigh a group's votes, in nats, at least 0; None without token statistics."""
        return [self._weigh(rollout.token_statistics) for rollout in group.rollouts]

    def _weigh(self, statistics: TokenStatistics | None) -> float | None:
        if statistics is None:
            return None
        values = statistics.self_certainties
        if self.confidence == "reference_code":
            values = tuple(max(0.0, -logp) for logp in statistics.logps)
        pieces = statistics.pieces or ("",) * len(values)
        means = [mean_or_none(values[a:b]) for a, b in split_steps(pieces, self.separator)]
        known = [mean for mean in means if mean is not None]
        return mean_or_none(known) if len(known) == len(means) else None


def split_steps(pieces: tuple[str, ...], separator: str) -> list[tuple[int, int]]:
    r"""Cut a completion into steps: (first token, token after the last) of each.

    Example:
        >>> split_steps(("a", "b\n\n", "c"), "\n\n"), split_steps((), "\n\n")
        ([(0, 2), (2, 3)], [])
    """
    ends = [t + 1 for t, piece in enumerate(pieces) if separator in piece]
    if not ends or ends[-1] < len(pieces):
        ends.append(len(pieces))
    starts = [0, *ends[:-1]]
    return [(start, end) for start, end in zip(starts, ends, strict=True) if start < end]


def token_probability(group: Group) -> list[float | None]:
    """Weigh a vote by the geometric mean of its tokens' probabilities, in (0, 1]."""
    means = SequenceProbability()(group)
    return [None if mean is None else math.exp(min(0.0, mean)) for mean in means]


@checked
@dataclass(frozen=True, kw_only=True)
class Length:
    """Weigh a vote by how long its text is beside the group's median (ours).

    w_i = (characters_i / median)^power, an empty text counting as one character

    Attributes:
        power: Below 0 short completions weigh more, above 0 long ones; 0 is the plain vote.
    """

    power: Finite = -1.0

    def __call__(self, group: Group) -> list[float | None]:
        """Weigh a group's votes, above 0."""
        lengths = [max(1, len(rollout.completion)) for rollout in group.rollouts]
        middle = median(lengths) if lengths else 1
        return [(length / middle) ** self.power for length in lengths]


@checked
@dataclass(frozen=True, kw_only=True)
class Repetition:
    """Weigh a vote by the share of its text that repeats nothing (ours).

    w_i = (1 - share of its n-grams that occurred before)^power

    Attributes:
        power: At least 0; 0 is the plain vote.
        ngram: Words and signs of an n-gram, at least 1 (`rl.answers.repetition`).
    """

    power: NonNegative = 1.0
    ngram: int = 20

    def __call__(self, group: Group) -> list[float | None]:
        """Weigh a group's votes, in (0, 1]."""
        shares = [repeated_ngram_share(r.completion, max(1, self.ngram)) for r in group.rollouts]
        return [(1 - share) ** self.power for share in shares]


@checked
@dataclass(frozen=True, kw_only=True)
class Finished:
    r"""Weigh a vote less that has no `\boxed{}` or was cut off at the length limit (ours).

    Attributes:
        otherwise: Weight of such a vote, in [0, 1]; the others weigh 1.
    """

    otherwise: Share = 0.0

    def __call__(self, group: Group) -> list[float | None]:
        """Weigh a group's votes: 1 or `otherwise`."""
        return [
            self.otherwise if r.truncated or last_box(r.completion) is None else 1.0
            for r in group.rollouts
        ]


@checked
@dataclass(kw_only=True)
class History:
    """Weigh a vote by how many votes its answer had on earlier visits to the prompt (ours).

    w_i = 1 + strength h(a_i),  h <- decay h + (1 - decay) (shares of this visit's votes)

    h starts at the first visit's shares, and is 0 for an answer that never was given and before the
    first visit, where this is the plain vote. It damps a majority that comes and goes.

    Attributes:
        strength: At least 0; 0 is the plain vote.
        decay: Weight of earlier visits against the newest, in [0, 1].
    """

    strength: NonNegative = 1.0
    decay: Share = 0.5
    _shares: dict[str, dict[str, float]] = field(default_factory=dict, init=False, repr=False)

    def __call__(self, group: Group) -> list[float | None]:
        """Weigh a group's votes, from 1 to 1 + strength; the memory stays as it is."""
        before = self._shares.get(group.prompt_id, {})
        weights: dict[str | None, float] = {None: 1.0}
        for answer in {rollout.answer for rollout in group.rollouts} - {None}:
            share = sum(known for other, known in before.items() if same_answer(other, answer))
            weights[answer] = 1.0 + self.strength * share
        return [weights[rollout.answer] for rollout in group.rollouts]

    def observe(self, groups: Iterable[Group]) -> None:
        """Remember a batch's answers; visits to one prompt count in the order given."""
        for group in groups:
            texts = sorted(r.answer for r in group.rollouts if r.answer is not None)
            if not texts:
                continue
            before = self._shares.get(group.prompt_id)
            fresh = 1.0 if before is None else 1.0 - self.decay
            shares = {answer: self.decay * share for answer, share in (before or {}).items()}
            for text in texts:
                known = next((other for other in shares if same_answer(other, text)), text)
                shares[known] = shares.get(known, 0.0) + fresh / len(texts)
            # What a few visits have not seen again is forgotten, which bounds the memory.
            kept = {answer: share for answer, share in shares.items() if share >= 0.01}
            self._shares[group.prompt_id] = kept

    def state_dict(self) -> dict[str, Any]:
        """Return the memory as plain JSON."""
        return {"shares": {prompt: dict(shares) for prompt, shares in self._shares.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace the memory by one that `state_dict` returned."""
        self._shares = {prompt: dict(shares) for prompt, shares in state["shares"].items()}


VOTE_WEIGHTS: dict[str, Callable[..., Any]] = {
    "equal": equal,
    "self_certainty": SelfCertainty,
    "borda": Borda,
    "token_probability": token_probability,
    "step_confidence": StepConfidence,
    "length": Length,
    "repetition": Repetition,
    "finished": Finished,
    "history": History,
    "own_code": OwnCode,
    "program_votes": ProgramVotes,
}


def get_vote_weight(by: str | Mapping[str, Mapping[str, Any] | None], what: str) -> Reward:
    """Build what weighs votes.

    Args:
        by: A key of `VOTE_WEIGHTS`, `package.module:name` or `path/to/file.py:name`; with settings
            as {name: {setting: value}}.
        what: The setting that holds it, for messages.

    Raises:
        InputError: If there are several, a name or a setting is unknown, or a value breaks its
            rule.
    """
    named = {by: None} if isinstance(by, str) else by
    if len(named) != 1:
        raise InputError(
            f"{what}: got {sorted(named)}, expected one weight. Name one, as name or "
            "{name: {setting: value}}."
        )
    [(name, settings)] = named.items()
    target = find(name, VOTE_WEIGHTS, what, contract=WEIGHT)
    group = () if isinstance(target, type) else ("group",)
    return build(f"{what}.{name}", target, settings or {}, filled_in=group)
