"""Random prompts: as many as a rule would choose, at random; the control of every choice."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

from rl.settings import PositiveShare, checked
from rl.training.curriculum.contract import PromptFact


@checked
@dataclass(frozen=True, kw_only=True)
class RandomPrompts:
    """Visit a random share of the prompts, the same ones in every epoch.

    Source: the control of SelectTTRL, heyiliyi/SelectTTRL-public at 8e6f15e,
    baselines/select_35_percent.py, which draws as many prompts as its interval holds.

    Attributes:
        share: floor(share * M) of M prompts are visited.
        seed: Fixes the draw.
    """

    share: PositiveShare = 0.35
    seed: int = 0

    def order(self, rows: Sequence[int], prompts: Sequence[PromptFact]) -> list[int]:
        """Return the chosen rows, in the order given."""
        count = floor(round(self.share * len(rows), 9))
        drawn = set(random.Random(f"prompts {self.seed}").sample(sorted(rows), count))
        return [row for row in rows if row in drawn]
