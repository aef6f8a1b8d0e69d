"""Which prompts are asked for ahead, and which of them a batch trains."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accelerate.utils import gather_object

from rl.groups.visits import neighbours
from rl.rollouts.ahead_engine import AheadEngine, Asked
from rl.training.prompt_order import PromptSampler
from rl.training.source import Policy


@dataclass(frozen=True, kw_only=True)
class PromptsAhead:
    """Asks for this rank's prompts ahead, and makes batches of those that are answered.

    The prompts that a rank samples in a run are one list, m of them for each batch. When batch n is
    due they are asked for up to the end of batch n + 1 and c further, c = (s - 1) m / 2 rounded up,
    s = max_staleness. Batch n trains m of the m + c that were asked for before: those asked for s
    batches ago first, which are at most m, then those whose completions are there. With s = 1 these
    are the prompts of the batch, all of one policy. With more, long completions are carried over:
    the c slowest prompts of a batch have the time of another update.

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
        start = self.engine.next_position
        start = index * num_mine if start is None else start
        end = min(end, self.num_batches * num_mine)
        while start < end:
            last = min(end, (start // num_mine + 1) * num_mine)
            self._ask_for(policy, index, num_mine, range(start, last))
            start = last
        self.engine.next_position = start

    def _ask_for(self, policy: Policy, index: int, num_mine: int, positions: Sequence[int]) -> None:
        batch = positions[0] // num_mine
        order = PromptSampler.of_run(self.rows, policy.config).batch(batch)
        accelerator = policy.accelerator
        mine = neighbours(order, accelerator.process_index, accelerator.num_processes)
        rows = [mine[position % num_mine] for position in positions]
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
        self.engine.ask(asked, request.prompt_ids)
