"""What a curriculum may decide: which prompts come next, and whether a sampled group teaches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rl.groups.scoring import ScoredGroup


@dataclass(frozen=True, kw_only=True)
class PromptFact:
    """What a rule is told of a prompt; there is no label in it.

    Attributes:
        prompt_id: Hash of the rendered prompt, as a `Group` has it.
        rendered: The text that the policy continues.
        row: Its row in the data set, from 0, counted on from one file to the next.
        part: Number of its file in `dataset`, from 0.
    """

    prompt_id: str
    rendered: str
    row: int
    part: int = 0


class OrdersPrompts(Protocol):
    """A rule for the order of an epoch."""

    def order(self, rows: Sequence[int], prompts: Sequence[PromptFact]) -> Sequence[int]:
        """Return the prompts of an epoch in the order in which they are visited.

        It is asked when an epoch begins, and on every rank. What it remembers must come from
        `observe` alone, which all ranks are shown alike, and belong to its `state_dict`.

        Args:
            rows: The prompts so far, in the order of the seed and the epoch, or of the rule before.
            prompts: Of the whole training set; `prompts[row]` describes one of `rows`.

        Returns:
            All of them or some, each at most once. Those left out are not visited in this epoch.
        """
        ...


class ChoosesGroups(Protocol):
    """A rule for the groups of a batch.

    Attributes:
        num_tries: Most times that prompts are sampled for one batch, the first included; 1 if a
            rule has none. The batch of the last try is trained with the groups that there are.
    """

    num_tries: int

    def teaches(self, scored: ScoredGroup) -> bool:
        """Say whether a group is trained; one that is not counts nowhere in the update."""
        ...


# What a rule may have beside, as a reward does (`rl.groups.memory`):
#     prepare(prompts, policy): is called before each batch, on every rank, with the training set
#         and the policy; a rule that needs to know it asks once, and remembers what came of it
#     sees_labels: whether it learned from labels, which a run has to be declared `supervised` for
#     observe(groups): sees every group of a batch, trained or not, in one order on all ranks
#     state_dict(), load_state_dict(state): what it remembers, as plain JSON, for checkpoints
#     part, is_last_epoch: number of the data set that it visits, and whether another one follows
#         the epoch at hand: every benchmark is evaluated before
METHODS = ("order", "teaches")
State = Mapping[str, Any]
