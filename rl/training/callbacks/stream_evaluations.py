"""What every benchmark was after each data set of a stream, and what is forgotten by then."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from transformers import TrainerState

from rl.evaluation.metrics.continual import (
    average_accuracy,
    backward_transfer,
    forgetting,
    forward_transfer,
)

if TYPE_CHECKING:
    from rl.training.host import LabelFreeTrainer

METRIC = "pass@1"

_logger = logging.getLogger(__name__)


class StreamEvaluations:
    """Collects the accuracies after each data set of a stream (`rl.evaluation.metrics.continual`).

    The first labelled benchmark belongs to the first file of `dataset`, the second to the second,
    and so on; further ones belong to none and are only told. With fewer benchmarks than data sets
    there is the matrix and no measure. The last row is of the end of the run, whatever data set it
    ends in. Checkpoints have the rows so far; a run that goes on with other benchmarks drops them,
    and has no measure either, as it does not know what there was to forget.

    Args:
        trainer: Whose source may visit one data set after another.
        benchmarks: Names of the labelled benchmarks, in the order of `eval_benchmarks`.

    Attributes:
        rows: For each data set so far its number "part", from 0, the "step" after which was
            evaluated, and the "accuracies", pass@1 of each benchmark.
    """

    def __init__(self, trainer: "LabelFreeTrainer", benchmarks: Sequence[str]) -> None:
        self.trainer = trainer
        self.benchmarks = list(benchmarks)
        self.rows: list[dict[str, Any]] = []

    def is_due(self, state: TrainerState) -> bool:
        """Whether the step that has just ended was the last of a data set before another one."""
        config = self.trainer.args
        is_whole_batch = state.global_step % (config.num_updates * config.num_iterations) == 0
        return is_whole_batch and getattr(self.trainer.source, "ends_part", False)

    def add(self, found: Mapping[str, Mapping[str, float]], step: int) -> None:
        """Add what was found after the data set at hand, in place of what was found within it."""
        part = getattr(self.trainer.source, "part", None)
        if part is None or not self.benchmarks:
            return
        accuracies = [found[name][METRIC] for name in self.benchmarks]
        self.rows = [row for row in self.rows if row["part"] < part]
        self.rows.append({"part": part, "step": step, "accuracies": accuracies})
        if len(self.rows) == len(self.benchmarks) + 1 and self.trainer.accelerator.is_main_process:
            _logger.warning(
                "eval_benchmarks: %d for more data sets of the stream, so what is forgotten is not "
                "measured. Name one for each, in the order of `dataset`.",
                len(self.benchmarks),
            )

    def logs(self, step: int) -> dict[str, float]:
        """Name what is known after a data set, if the newest row is of this step."""
        if not self.rows or self.rows[-1]["step"] != step:
            return {}
        measures = self._measures(len(self.rows), None)
        return {
            f"eval/continual_{name}": value
            for name, value in {"part": self.rows[-1]["part"], **measures}.items()
            if value is not None
        }

    def summary(self, before: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the matrix and its measures.

        Args:
            before: Benchmark -> metrics of the base model; None: not evaluated.

        Returns:
            "benchmarks", "steps", "accuracies" (a row for each data set), "base" (None: not
            evaluated on all of them), "after_each": the measures after each data set, and the last
            of these again: average_accuracy, forgetting, backward_transfer, forward_transfer, None
            where there is none.
        """
        found = [(before or {}).get(name, {}).get(METRIC) for name in self.benchmarks]
        base = None if None in found else found
        after_each = [self._measures(k, base) for k in range(1, len(self.rows) + 1)]
        return {
            "benchmarks": self.benchmarks,
            "steps": [row["step"] for row in self.rows],
            "accuracies": [row["accuracies"] for row in self.rows],
            "base": base,
            "after_each": after_each,
            **after_each[-1],
        }

    def _measures(self, num_parts: int, base: Sequence[float] | None) -> dict[str, float | None]:
        rows = self.rows[:num_parts]
        matrix = [row["accuracies"] for row in rows]
        is_whole = [row["part"] for row in rows] == list(range(num_parts))
        if len(self.benchmarks) < num_parts or not is_whole:
            return {}
        return {
            "average_accuracy": average_accuracy(matrix),
            "forgetting": forgetting(matrix),
            "backward_transfer": backward_transfer(matrix),
            "forward_transfer": None if base is None else forward_transfer(matrix, base),
        }

    def state_dict(self) -> dict[str, Any]:
        """The rows so far and what they are of, as plain JSON."""
        return {"benchmarks": self.benchmarks, "rows": self.rows}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state; rows of other benchmarks are dropped, and a warning says so."""
        self.rows = list(state["rows"])
        if self.rows and state.get("benchmarks") != self.benchmarks:
            self.rows = []
            _logger.warning(
                "eval_benchmarks: other ones than in the checkpoint, so what is forgotten in the "
                "stream is not measured. Name the same ones to measure it."
            )
