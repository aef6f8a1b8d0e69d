"""Which prompts are asked for ahead, and which of them a batch trains."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from accelerate.utils import gather_object

from rl.groups.visits import neighbours
from rl.rollouts.ahead_engine import AheadEngine, Asked
from rl.training.prompt_order import PromptSampler
from rl.training.source import Policy

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PromptsAhead:
    """Asks for this rank's prompts ahead, and makes batches of those that are answered.

    The prompts that a rank samples in a run are one list, m of them for each batch. When batch n is
    due they are asked for up to the end of batch n + 1 and c further, c = (s - 1) m / 2 rounded up,
    s = max_staleness, at most 3. Batch n trains m of the m + c that were asked for before: first
    those asked for s batches ago, at most m, then those whose completions are there. With s = 1
    these are the prompts of the batch, all of one policy. With more, long completions are carried
    over: the c slowest prompts of a batch have the time of another update.

    Attributes:
        rows: The training set.
        source: Says what a batch's prompts need (`PromptSource.request`).
        engine: Is asked.
        num_batches: Of the run.
    """

    rows: Any
    source: Any
    engine: AheadEngine
    num_batches: int

    def next_batch(
        self, policy: Policy, index: int, num_rows: int
    ) -> tuple[list[Mapping[str, Any]], int]:
        """Ask for what comes next, and choose a batch's prompts; every rank must call it.

        Args:
            policy: Whose weights the engine holds.
            index: Number of the batch.
            num_rows: Rows of this rank.

        Returns:
            Inputs of `PromptSource.next_batch`, which tell of each prompt the batch it was meant
            for and the policy that began with it; and the oldest of these policies, of all ranks.
        """
        accelerator, config = policy.accelerator, policy.config
        rank, num_ranks = accelerator.process_index, accelerator.num_processes
        num_mine = len(neighbours(range(config.num_prompts), rank, num_ranks))
        num_carried = -(-(config.max_staleness - 1) * num_mine // 2)
        batch_end = (index + 1) * num_mine + num_carried
        self._ask(policy, index, num_mine, batch_end + num_mine)
        if self.engine.num_open(batch_end) < num_mine:
            # The batch is made once more, as where its rows are laid out anew after a stop.
            _logger.warning("batch %d is sampled again", index)
            self.engine.start_over()
            self._ask(policy, index, num_mine, batch_end + num_mine)
        taken = self.engine.take(num_mine, batch_end, index - config.max_staleness)
        prompts = [(one.row, one.position // num_mine, one.version) for one in taken]
        by_rank = gather_object([prompts])
        # As `neighbours` shares the prompts of a batch out.
        in_order = [prompt for part in by_rank for prompt in part]
        inputs = []
        for number in range(rank * num_rows, (rank + 1) * num_rows):
            row, batch, version = in_order[number // config.num_generations]
            inputs.append({**self.rows[row], "batch": batch, "version": version})
        return inputs, min(version for _, _, version in in_order)

    def _ask(self, policy: Policy, index: int, num_mine: int, end: int) -> None:
        """Ask for this rank's prompts up to a position, a batch's in one go."""
        engine = self.engine
        start = index * num_mine if engine.next_position is None else engine.next_position
        end = min(end, self.num_batches * num_mine)
        positions = [*sorted(engine.forgotten), *range(start, end)]
        for _, of_batch in groupby(positions, lambda position: position // num_mine):
            self._ask_for(policy, index, num_mine, list(of_batch))
        engine.next_position, engine.forgotten = max(start, end), []

    def _ask_for(self, policy: Policy, index: int, num_mine: int, positions: Sequence[int]) -> None:
        batch = positions[0] // num_mine
        order = PromptSampler.of_run(self.rows, policy.config).batch(batch)
        accelerator = policy.accelerator
        mine = neighbours(order, accelerator.process_index, accelerator.num_processes)
        rows = [self.engine.rows.get(p, mine[p % num_mine]) for p in positions]
        request = self.source.request([self.rows[row] for row in rows], policy, batch)
        asked = [
            Asked(
                position=position,
                row=row,
                batch=index,
                version=policy.version,
                seed=seed,
                num_samples=request.num_samples,
            )
            for position, row, seed in zip(positions, rows, request.seeds, strict=True)
        ]
        self.engine.ask(asked, request.prompt_ids, request.images)
