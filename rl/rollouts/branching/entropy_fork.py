"""ETTRL's tree: other completions leave each root at its tokens of highest entropy (ETMR)."""

from collections.abc import Sequence
from dataclasses import dataclass

from rl.rollouts.branching.contract import Fork, TokenRow
from rl.settings import Count, CountOrNone, NumSamples, checked


def highest_entropy_positions(entropies: Sequence[float], number: int) -> list[int]:
    """Return the positions of the highest entropies, the highest first; of equal ones the earlier.

    Args:
        entropies: In nats, T numbers.
        number: How many positions; all T where there are no more.

    Example:
        >>> highest_entropy_positions([0.1, 0.9, 0.0, 0.9, 0.5], 3)
        [1, 3, 4]
    """
    order = sorted(range(len(entropies)), key=lambda t: (-entropies[t], t))
    return order[:number]


@checked
@dataclass(frozen=True, kw_only=True)
class EntropyFork:
    """Entropy-fork tree majority rollout (ETMR): M trees, in each N forks of B branches.

    A tree is one completion, its root, and B completions that leave it at each of its N tokens of
    highest Shannon entropy: M (1 + B N) completions, which all vote. If forks lie anywhere alike
    they take (1 + B N / 2) / (1 + B N) of the tokens of as many completions without a tree.

    Source: ETTRL, arXiv 2508.11356: M = 12, N = 2, B = 2 in its experiments, 60 completions for
    TTRL's 64 and 60% of the tokens. The paper itself could not be read beyond its abstract; the
    procedure, the formulas and these numbers are those that two summaries of it give alike, or one
    of them alone (M = 12). The authors published no code.
    Differs: the token at a fork is drawn anew from the policy and may come out as before. No fork
    stands at the token that ends a completion. Of equal entropies the earlier token is taken.
    Entropies are of the tempered distribution that tokens are drawn from. What a short root has too
    few tokens for is sampled from the prompt on. None of this is said in what we read.
    Fails when: the tokens of highest entropy are words of no consequence; then a tree's completions
    answer alike and a vote counts one of them several times.

    Attributes:
        num_trees: M.
        num_forks: N, per tree.
        num_branches: B, per fork.
    """

    num_trees: NumSamples = 12
    num_forks: CountOrNone = 2
    num_branches: Count = 2

    @property
    def num_roots(self) -> int:
        """One for each tree."""
        return self.num_trees

    @property
    def num_completions(self) -> int:
        """M (1 + B N)."""
        return self.num_trees * (1 + self.num_branches * self.num_forks)

    def forks(self, root: TokenRow) -> list[Fork]:
        """Choose the N tokens of highest entropy."""
        open_ = root.entropies[: root.num_positions]
        return [
            Fork(position=position, num_branches=self.num_branches)
            for position in highest_entropy_positions(open_, self.num_forks)
        ]
