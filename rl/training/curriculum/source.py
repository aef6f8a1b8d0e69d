"""Batches of prompts in the order of a curriculum, refilled where groups teach nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import gcd
from typing import Any

from datasets import Dataset

from rl.training.config import LabelFreeConfig
from rl.training.curriculum.refill import choose_groups, refill
from rl.training.curriculum.registry import Curricula
from rl.training.curriculum.stream import PromptStream
from rl.training.source import Batch, Policy, Source


class CurriculumSource:
    """Asks another source for the prompts that a curriculum chooses.

    What the trainer's own order of prompts says is not used: which prompts come next may depend on
    what the policy answered before, and on how many it took to fill a batch.

    Args:
        source: Samples and scores prompts.
        prompts: The training set.
        config: Settings of the run.
        curricula: The rules.
    """

    def __init__(
        self, source: Source, prompts: Dataset, config: LabelFreeConfig, curricula: Curricula
    ) -> None:
        self.source = source
        self.prompts = prompts
        self.curricula = curricula
        self.stream = PromptStream(prompts, config, curricula)
        self.reward_names = source.reward_names
        self.needs_token_statistics = source.needs_token_statistics
        self.teacher = getattr(source, "teacher", None)
        self.signals = {**source.signals, **curricula.signals, "prompt stream": self.stream}

    @property
    def part(self) -> int | None:
        """Number of the data set of a stream that the newest batch is of; None: there is none."""
        return next(
            (rule.part for rule in self.curricula.rules.values() if hasattr(rule, "part")), None
        )

    @property
    def ends_part(self) -> bool:
        """Whether the newest batch was the last of its data set, and another data set comes."""
        if len(self.stream.rows) >= self.stream.sampler.num_prompts:
            return False
        return any(getattr(rule, "is_last_epoch", False) for rule in self.curricula.rules.values())

    def next_batch(self, inputs: Sequence[Mapping[str, Any]], policy: Policy, index: int) -> Batch:
        """Make the next batch of the stream; of `inputs` only their number is read.

        Metrics: signal/curriculum_epoch; and with a rule that leaves out groups
        signal/curriculum_tries, signal/curriculum_left_out_frac: share of the sampled groups, and
        signal/curriculum_taught_frac: share of the batch's places that have a group that teaches.
        """
        self.curricula.prepare(self.prompts, policy)
        batches = [self._ask(self.stream.next_batch(), policy, index)]
        teaches = [[self.curricula.teaches(scored) for scored in batches[0].sampled]]
        num_empty = teaches[0].count(False)
        while num_empty > 0 and len(batches) < self.curricula.num_tries:
            rows = self.stream.more(_whole(num_empty, policy))
            rows = rows[: len(rows) - len(rows) % _whole(1, policy)]
            if not rows:
                break
            batches.append(self._ask(rows, policy, index))
            teaches.append([self.curricula.teaches(scored) for scored in batches[-1].sampled])
            num_empty -= teaches[-1].count(True)
        metrics: dict[str, float] = {"signal/curriculum_epoch": self.stream.epoch}
        batch = batches[0]
        if self.curricula.chooses:
            chosen = choose_groups(teaches)
            batch = refill(batches, chosen, policy.accelerator)
            num_left_out = sum(groups.count(False) for groups in teaches)
            metrics |= {
                "signal/curriculum_tries": len(batches),
                "signal/curriculum_left_out_frac": num_left_out / len(batch.sampled),
                "signal/curriculum_taught_frac": 1 - chosen.count(None) / len(chosen),
            }
        self.curricula.observe(batch.sampled)
        return replace(batch, metrics={**batch.metrics, **metrics})

    def _ask(self, rows: Sequence[int], policy: Policy, index: int) -> Batch:
        """Sample and score some prompts, whose rows are dealt out to the ranks in order."""
        num_generations, num_ranks = policy.config.num_generations, policy.accelerator.num_processes
        num_rows = len(rows) * num_generations // num_ranks
        start = policy.accelerator.process_index * num_rows
        mine = range(start, start + num_rows)
        inputs = [self.prompts[rows[position // num_generations]] for position in mine]
        return self.source.next_batch(inputs, policy, index)


def _whole(num_prompts: int, policy: Policy) -> int:
    """The least number of prompts, from that on, whose rows give each rank as many."""
    num_ranks = policy.accelerator.num_processes
    step = num_ranks // gcd(num_ranks, policy.config.num_generations)
    return -(-num_prompts // step) * step
