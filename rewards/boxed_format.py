"""A format-only reward: the control that pays for an answer being there, not for what it says.

Source: "Format-Only" in arXiv 2505.19439, section 3.1; of arXiv 2506.10947, section 3.
Differs: pays 1.0 (the code of 2505.19439 pays 0.5; the scale cancels in normalized advantages),
    and takes any extracted answer as well-formed.
Fails when: every completion has an answer; then all rewards are equal and nothing is taught.
"""

from rl.types import Group


def boxed_format(group: Group) -> list[float | None]:
    r"""Pay 1.0 for a completion that gives an answer and 0.0 for one that does not.

    r_i = 1 if rollout i has an answer else 0

    Args:
        group: Rollouts of one prompt; reads `answer` only. What counts as an answer follows the
            run's `answer_methods`; with `[boxed]` it is a filled, balanced \boxed{}.

    Returns:
        One reward per rollout, in {0.0, 1.0}, never None.

    Example:
        >>> from rl.types import Rollout
        >>> rollouts = (Rollout(completion="so 2", answer="2"), Rollout(completion="hm"))
        >>> boxed_format(Group(prompt_id="p", prompt="1+1=", rollouts=rollouts))
        [1.0, 0.0]
    """
    return [float(rollout.answer is not None) for rollout in group.rollouts]
