"""A stream of data sets: one after the other, as continual use meets them, none of them again."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Annotated

from pydantic import Field

from rl.errors import InputError
from rl.settings import Count, checked
from rl.training.curriculum.contract import PromptFact, State


@checked
@dataclass(kw_only=True)
class DataStream:
    """Visit the parts of one file one after the other, each for as many epochs.

    Parts of one size get the same number of updates, sizes // num_prompts * epochs * num_updates;
    with this number as `eval_every` every benchmark is evaluated after each part, which shows what
    of the earlier ones is forgotten. The run's last part goes on until it ends.

    Source: the setting of MIGU, arXiv 2406.17245: a sequence of tasks, no rehearsal.

    Attributes:
        sizes: Rows of each part, in the file's order; together all of its rows.
        epochs: Visits of each prompt before the next part begins.
    """

    sizes: Annotated[list[Count], Field(min_length=1)]
    epochs: Count = 1
    _num_begun: int = field(default=0, init=False, repr=False)

    def order(self, rows: Sequence[int], prompts: Sequence[PromptFact]) -> list[int]:
        """Return the rows of the part whose turn it is, in the order given.

        Raises:
            InputError: If the parts are not the whole file.
        """
        ends = list(accumulate(self.sizes))
        num_rows = max(prompt.row for prompt in prompts) + 1
        if ends[-1] < num_rows:
            raise InputError(
                f"curriculum.data_stream.sizes: got {ends[-1]} rows in all, expected at least the "
                f"{num_rows} of the data set. Name the size of each part."
            )
        part = min(self._num_begun // self.epochs, len(ends) - 1)
        self._num_begun += 1
        start = ends[part] - self.sizes[part]
        return [row for row in rows if start <= prompts[row].row < ends[part]]

    def state_dict(self) -> State:
        """How many epochs have begun, as plain JSON."""
        return {"num_begun": self._num_begun}

    def load_state_dict(self, state: State) -> None:
        """Go on from a state."""
        self._num_begun = state["num_begun"]
