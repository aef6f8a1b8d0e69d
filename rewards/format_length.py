r"""Format and length as a reward: pays for a well-formed boxed answer of a middling length.

Source: arXiv 2505.19439v5, section 2, equations 2 to 5 and appendix A.8.
    Reference code: insightLLM/rl-without-gt, rl/verl/lib/src/rewards/math_reward.py.
Differs: `preset="paper"` is equation 5; `preset="reference_code"` is what produced the published
    numbers. In both, "well-formed" is our own grammar check (`rewards.math_format`): it accepts the
    matrices, unions and half-open intervals that the code's parser rejects, rejects sentences that
    it accepts, and executes nothing. `<answer>` tags have no meaning. Lengths beyond the limit
    count as the limit. `repetition_guard` is ours.
Fails when: the policy pads or repeats itself up to the best length; what the box says is not read.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from rewards.math_format import is_well_formed, last_box
from rl.answers.repetition import repeated_ngram_share
from rl.settings import PositiveShare, checked
from rl.types import Group, Rollout

FORMAT_BONUSES = {"paper": 1.0, "reference_code": 0.5}


@checked
@dataclass(frozen=True, kw_only=True)
class FormatLength:
    r"""Pay a bonus for a well-formed boxed answer, and a score for the completion's length.

    r_i = bonus + f(x_i)   if the last \boxed{} of rollout i is well-formed
        = min(0, f(x_i))   otherwise,   x_i = num_tokens_i / max_completion_length

    Attributes:
        preset: "paper": bonus 1.0; "reference_code": bonus 0.5.
        shape: The length score f: "quadratic" or "polyline", see the functions of these names.
        peak: Share of the limit at which f is largest, above 0 and at most 1.
        max_completion_length: The limit on a completion's tokens; a run fills in its own.
        repetition_guard: Largest share of repeated 20-grams (`rl.answers.repetition`) with which
            the format may count as right, in [0, 1); None: no limit. 0.5 refused 4% of 9,920 saved
            completions of Qwen2.5-Math-7B models, among them none of the right ones.

    Example:
        >>> reward = FormatLength(max_completion_length=4)
        >>> right, wrong = (Rollout(completion=c, num_tokens=3) for c in (r"\boxed{7}", "7"))
        >>> reward(Group(prompt_id="p", prompt="3+4=", rollouts=(right, wrong)))
        [1.5, 0.0]
    """

    preset: Literal["paper", "reference_code"] = "paper"
    shape: Literal["quadratic", "polyline"] = "quadratic"
    peak: PositiveShare = 0.5
    max_completion_length: PositiveInt
    repetition_guard: Annotated[float, Field(ge=0, lt=1)] | None = None

    def __call__(self, group: Group) -> list[float | None]:
        """Score a group.

        Args:
            group: Rollouts of one prompt; reads `completion` and `num_tokens`.

        Returns:
            One reward per rollout, never None: in [bonus - 1, bonus + 1] with a right format, in
            [-1, 0] with a wrong one. An empty completion gets 0.0.
        """
        return [self._score(rollout) for rollout in group.rollouts]

    def _score(self, rollout: Rollout) -> float:
        score_length = (
            quadratic_length_score if self.shape == "quadratic" else polyline_length_score
        )
        score = score_length(rollout.num_tokens / self.max_completion_length, self.peak)
        if self._has_right_format(rollout.completion):
            return FORMAT_BONUSES[self.preset] + score
        return min(0.0, score)

    def _has_right_format(self, completion: str) -> bool:
        content = last_box(completion)
        if content is None or not is_well_formed(content):
            return False
        return (
            self.repetition_guard is None
            or repeated_ngram_share(completion) <= self.repetition_guard
        )


def quadratic_length_score(x: float, peak: float = 0.5) -> float:
    """Return a length's score: two parabolas that meet at the peak.

    f(x) = 1 - (1 - x/p)^2               for x <= p
         = 1 - 2 ((x - p) / (1 - p))^2   for x > p

    Source: arXiv 2505.19439, equations 2 and 3. Differs: x outside [0, 1] counts as 0 or 1.

    Args:
        x: Length as a share of the limit.
        peak: p, above 0 and at most 1; with 1 the second parabola never applies.

    Returns:
        A score in [-1, 1]: 0.0 at x = 0, 1.0 at p with slope 0, -1.0 at x = 1 if p < 1.
    """
    x = min(max(x, 0.0), 1.0)
    if x <= peak:
        return 1.0 - (1.0 - x / peak) ** 2
    return 1.0 - 2.0 * ((x - peak) / (1.0 - peak)) ** 2


def polyline_length_score(x: float, peak: float = 0.5) -> float:
    """Return a length's score: two straight lines that meet at the peak.

    f(x) = x / p                       for x <= p
         = 1 - 2 (x - p) / (1 - p)     for x > p

    Source: arXiv 2505.19439, equation 4, which is the case p = 0.5 (2x, then 3 - 4x). Differs:
    other peaks keep its values at 0, p and 1; x outside [0, 1] counts as 0 or 1.

    Args:
        x: Length as a share of the limit.
        peak: p, above 0 and at most 1.

    Returns:
        A score in [-1, 1].
    """
    x = min(max(x, 0.0), 1.0)
    return x / peak if x <= peak else 1.0 - 2.0 * (x - peak) / (1.0 - peak)
