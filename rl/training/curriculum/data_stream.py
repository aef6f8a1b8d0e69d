"""A stream of data sets: one after the other, as continual use meets them, none of them again."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rl.errors import InputError
from rl.settings import Count, checked
from rl.training.curriculum.contract import PromptFact, State


@checked
@dataclass(kw_only=True)
class DataStream:
    """Visit the files that `dataset` lists one after the other, each for as many epochs.

    A file of n prompts, at least num_prompts, has n // num_prompts * epochs * num_updates updates;
    the last one goes on until the run ends. After each file every benchmark is evaluated, and what
    is forgotten of the earlier ones stands in the summary
    (`rl.training.callbacks.stream_evaluations`).

    Source: the setting of MIGU, arXiv 2406.17245: a sequence of tasks, no rehearsal.

    Attributes:
        epochs: Visits of each prompt before the next file begins.
    """

    epochs: Count = 1
    _num_begun: int = field(default=0, init=False, repr=False)
    _num_parts: int = field(default=0, init=False, repr=False)

    @property
    def part(self) -> int:
        """Number of the file whose turn it is, from 0."""
        return min(max(self._num_begun - 1, 0) // self.epochs, max(self._num_parts - 1, 0))

    @property
    def is_last_epoch(self) -> bool:
        """Whether another file comes after the epoch at hand."""
        return self._num_begun % self.epochs == 0 and self.part < self._num_parts - 1

    def order(self, rows: Sequence[int], prompts: Sequence[PromptFact]) -> list[int]:
        """Return the rows of the file whose turn it is, in the order given.

        Raises:
            InputError: If there is a single one.
        """
        parts = sorted({prompt.part for prompt in prompts})
        if len(parts) == 1:
            raise InputError(
                "curriculum.data_stream: got the prompts of one file, expected several. Write "
                "`dataset: [FIRST.jsonl, SECOND.jsonl]`, or leave data_stream out."
            )
        self._num_parts = len(parts)
        self._num_begun += 1
        return [row for row in rows if prompts[row].part == parts[self.part]]

    def state_dict(self) -> State:
        """How many epochs have begun, and how many files there are, as plain JSON."""
        return {"num_begun": self._num_begun, "num_parts": self._num_parts}

    def load_state_dict(self, state: State) -> None:
        """Go on from a state."""
        self._num_begun, self._num_parts = state["num_begun"], state["num_parts"]
