"""In which order prompts are visited: a function of seed and epoch alone, so a run can resume."""

from collections.abc import Iterator, Sized
from typing import TYPE_CHECKING

import torch
from torch.utils.data import Sampler

from rl.data.views import num_views

if TYPE_CHECKING:
    from rl.training.config import LabelFreeConfig


class PromptSampler(Sampler[int]):
    """Yield row numbers in the layout TRL's trainer expects, shuffled anew each epoch.

    Each generation batch is `num_prompts` rows, each repeated `num_generations` times in a row;
    the batch is repeated `num_repeats` times, once per forward pass that uses it. Rows that do not
    fill a last batch are left out of that epoch. The wordings of a problem, which stand in turn in
    the data (`rl.data.views`), are in one batch, in turn.

    Differs from TRL's `RepeatSampler`: the order of epoch e follows from (seed, e), not from how
    often the sampler was iterated, so a resumed run sees the prompts an uninterrupted one would.

    Example:
        >>> list(PromptSampler("abc", 1, 2, num_repeats=2, shuffle=False, seed=0))
        [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
    """

    def __init__(
        self,
        data_source: Sized,
        num_prompts: int,
        num_generations: int,
        num_repeats: int,
        shuffle: bool,
        seed: int,
        num_views: int = 1,
    ) -> None:
        self.num_rows = len(data_source)
        self.num_prompts = num_prompts
        self.num_generations = num_generations
        self.num_repeats = num_repeats
        self.shuffle = shuffle
        self.seed = seed
        self.num_views = num_views
        self.epoch = 0

    @classmethod
    def of_run(cls, rows: Sized, config: "LabelFreeConfig") -> "PromptSampler":
        """Build the sampler of a run's training set."""
        return cls(
            rows,
            num_prompts=config.num_prompts,
            num_generations=config.num_generations,
            num_repeats=config.num_iterations * config.steps_per_generation,
            shuffle=config.shuffle_dataset,
            seed=config.seed,
            num_views=num_views(rows),
        )

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration follows."""
        self.epoch = epoch

    def batch(self, number: int) -> list[int]:
        """Return the different rows of a batch of the run, in order.

        Args:
            number: Of the batch, from 0, counted over epochs.
        """
        epoch, number = divmod(number, self.num_rows // self.num_prompts)
        return self.order(epoch)[number * self.num_prompts :][: self.num_prompts]

    def order(self, epoch: int) -> list[int]:
        """Return all rows in the order in which an epoch visits them."""
        if not self.shuffle:
            return list(range(self.num_rows))
        # A large odd stride keeps (seed, epoch) pairs of neighbouring runs apart.
        generator = torch.Generator().manual_seed(self.seed + 1_000_003 * epoch)
        problems = torch.randperm(self.num_rows // self.num_views, generator=generator).tolist()
        views = range(self.num_views)
        return [problem * self.num_views + view for problem in problems for view in views]

    def __iter__(self) -> Iterator[int]:
        order = self.order(self.epoch)
        for start in range(0, self.num_rows - self.num_prompts + 1, self.num_prompts):
            batch = order[start : start + self.num_prompts]
            for _ in range(self.num_repeats):
                for row in batch:
                    yield from [row] * self.num_generations

    def __len__(self) -> int:
        num_batches = self.num_rows // self.num_prompts
        return num_batches * self.num_prompts * self.num_generations * self.num_repeats
