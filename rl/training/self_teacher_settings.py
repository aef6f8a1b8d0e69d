"""What a loss term says of its teacher, the policy itself: checked before a model is loaded."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor

from rl.data.slots import fill_slots
from rl.errors import InputError
from rl.training.losses.terms import LossTerms
from rl.types import Reward

if TYPE_CHECKING:
    from rl.training.config import LabelFreeConfig


class Taught(Protocol):
    """What a loss term says of its teacher; see `rl.training.losses.self_distillation`."""

    weights_of: str
    prompt: str | None
    chat_template_kwargs: Mapping[str, Any] | None

    def compare(self, logps: Tensor, teacher_logps: Tensor) -> tuple[Tensor, ...]:
        """Compare N distributions of the policy with its teacher's, (N, V) each.

        Returns:
            Of each token what `TermTokens.compared` gives back, (N,) each.
        """
        ...


def taught_term(terms: LossTerms) -> tuple[str, Taught] | None:
    """Return the term that compares with a teacher, and its name; None if none does.

    Raises:
        InputError: If several do.
    """
    found: list[Any] = [(n, t) for n, t in terms.terms.items() if hasattr(t, "weights_of")]
    if len(found) > 1:
        raise InputError(
            f"loss_terms: got {', '.join(name for name, _ in found)}, expected one that has a "
            "teacher. Remove the others."
        )
    return found[0] if found else None


def check_self_teacher(config: "LabelFreeConfig", terms: LossTerms) -> None:
    """Check that what the teacher reads can be had.

    Raises:
        InputError: If the prompt has other slots, there is no reward, or the vote's letters are not
            those of the prompt.
    """
    if (found := taught_term(terms)) is None:
        return
    name, term = found
    where = f"loss_terms.{name}"
    if config.selfplay is not None:
        raise InputError(
            f"{where}: got it beside selfplay, expected prompts with a vote. Remove one of the two."
        )
    if "option_shuffle" in (config.views or {}):
        raise InputError(
            f"{where}: got it beside views.option_shuffle, expected options in one order, or the "
            "voted letter would name another option in the prompt. Remove one of the two."
        )
    if not config.rewards:
        raise InputError(
            f"{where}: got no reward, expected one that says which completions agree. Add "
            "`rewards: {majority_vote: {}}`."
        )
    if term.prompt is not None:
        fill_slots(term.prompt, {"prompt": "", "answer": ""}, f"{where}.prompt")


def check_rewards_of_self_teacher(terms: LossTerms, rewards: Mapping[str, Reward]) -> None:
    """Check that a reward says what the teacher reads, and none weighs whole groups.

    Raises:
        InputError: If nobody votes though the teacher reads an answer, or a reward has a
            `group_weight`, which is a factor of advantages: the term would teach groups that it
            leaves out.
    """
    if (found := taught_term(terms)) is None:
        return
    name, term = found
    if term.prompt is not None and not any(hasattr(reward, "vote") for reward in rewards.values()):
        raise InputError(
            f"loss_terms.{name}.prompt: got one beside {', '.join(rewards)}, expected a reward "
            "that votes: its answer is what the teacher reads. Add `rewards: {majority_vote: {}}`, "
            "or set prompt: null."
        )
    for reward in rewards:
        if hasattr(rewards[reward], "group_weight"):
            raise InputError(
                f"loss_terms.{name}: got it beside the reward {reward!r}, which weighs whole "
                "groups, expected one that does not: this term is not weighed with them. Remove "
                "one of the two."
            )
