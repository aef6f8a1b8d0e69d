"""The two objects every reward sees: a `Rollout` and the `Group` of all rollouts of one prompt.

Neither has a field for a label, so a reward cannot read one.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """One sampled completion of a prompt and what is known about it without a label.

    Attributes:
        completion: Sampled text, special tokens removed.
        answer: Answer extracted from the completion, None if there is none ("no answer").
        cluster: Number of the answer's equivalence class in its group, counted from 0 in order of
            first appearance; None if there is no answer.
        num_tokens: Sampled tokens, the end token included.
        truncated: Whether sampling stopped at the length limit instead of at an end token.
        trained: Whether the policy is updated on this rollout; False for one that only votes.
    """

    completion: str
    answer: str | None = None
    cluster: int | None = None
    num_tokens: int = 0
    truncated: bool = False
    trained: bool = True


@dataclass(frozen=True, kw_only=True)
class Group:
    """All rollouts of one visit to one prompt, in a fixed order: the unit a reward scores.

    Attributes:
        prompt_id: Hash of the rendered prompt; the same text always has the same id.
        prompt: The rendered prompt the policy continued.
        rollouts: All votes of this visit, those that are trained and those that are not.
        visit: Identifies this visit; two rows with the same prompt in one batch are two visits.
    """

    prompt_id: str
    prompt: str
    rollouts: tuple[Rollout, ...]
    visit: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "rollouts", tuple(self.rollouts))


# A reward returns one number per rollout, in order; None means "cannot be scored", never 0.0.
Reward = Callable[[Group], list[float | None]]
