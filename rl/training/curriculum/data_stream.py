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

    A file of n prompts has n // num_prompts * epochs * num_updates updates, so files of one size
    have equally many; with this number as `eval_every` every benchmark is evaluated after each
    file, which shows what of the earlier ones is forgotten. The last one goes on until the run
    ends.

    Source: the setting of MIGU, arXiv 2406.17245: a sequence of tasks, no rehearsal.

    Attributes:
        epochs: Visits of each prompt before the next file begins.
    """

    epochs: Count = 1
    _num_begun: int = field(default=0, init=False, repr=False)

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
        part = parts[min(self._num_begun // self.epochs, len(parts) - 1)]
        self._num_begun += 1
        return [row for row in rows if prompts[row].part == part]

    def state_dict(self) -> State:
        """How many epochs have begun, as plain JSON."""
        return {"num_begun": self._num_begun}

    def load_state_dict(self, state: State) -> None:
        """Go on from a state."""
        self._num_begun = state["num_begun"]
