"""When batches are asked for: weights handed over before, and the next one sampled meanwhile."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl.errors import InputError
from rl.rollouts.ahead_engine import AheadEngine
from rl.training.other_ranks import deal_anew
from rl.training.prompt_order import PromptSampler
from rl.training.prompts_ahead import PromptsAhead
from rl.training.source import Batch, Policy, Source
from rl.watchdog import sampling_deadline

if TYPE_CHECKING:
    from rl.training.host import LabelFreeTrainer


class Sampling:
    """Asks a source for batches, each of the policy as it is then or, ahead, as it was before.

    With an engine that is asked ahead, a batch's completions are sampled while the one before is
    scored and trained: they come from the policy before that update. The weights are handed over
    between two batches, when no rank has a request under way, or beneath those that are carried
    over (`rl.training.prompts_ahead`).

    Args:
        trainer: Has the policy, its run and its steps.
        source: Makes the batches.
    """

    def __init__(self, trainer: "LabelFreeTrainer", source: Source) -> None:
        self.trainer = trainer
        self.source = source
        self.teacher = getattr(source, "teacher", None)  # self-play has none
        self.synced_step = -1

    def sync(self) -> None:
        """Hand the policy's weights to the engine, unless it holds them already."""
        trainer, step = self.trainer, self.trainer.state.global_step
        if self.synced_step == step:
            return
        if isinstance(trainer.engine, AheadEngine):
            with self._limit():
                trainer.engine.settle()
                trainer.accelerator.wait_for_everyone()
        with trainer.costs.time("sync_seconds"):
            trainer.engine.sync_weights()
        self.synced_step = step

    def next_batch(self, inputs: Sequence[Mapping[str, Any]], index: int) -> Batch:
        """Ask for a batch; every rank must call it.

        Args:
            inputs: Rows of the training set, as many as this rank is to get.
            index: Number of the batch, from 0.
        """
        self.sync()
        trainer, engine = self.trainer, self.trainer.engine
        policy = Policy(
            engine=engine,
            model=trainer.model,
            tokenizer=trainer.tokenizer,
            accelerator=trainer.accelerator,
            costs=trainer.costs,
            config=trainer.args,
            version=self.synced_step,
            images=trainer.images,
        )
        if isinstance(engine, AheadEngine):
            rows: Any = trainer.train_dataset
            ahead = PromptsAhead(
                rows=rows, source=self.source, engine=engine, num_batches=self._num_batches
            )
            with self._limit():
                inputs, version = ahead.next_batch(policy, index, len(inputs))
            policy = replace(policy, version=version)
        batch = self.source.next_batch(inputs, policy, index)
        if isinstance(engine, AheadEngine):
            check_logps(batch)
        return batch

    @property
    def _num_batches(self) -> int:
        """Generation batches of the run."""
        config: Any = self.trainer.args
        return -(-self.trainer.state.max_steps // (config.num_updates * config.num_iterations))

    @contextmanager
    def _limit(self) -> Iterator[None]:
        """Count a wait for samples as sampling, and bound it as that."""
        seconds = self.trainer.args.max_sampling_seconds
        limit = sampling_deadline(seconds)
        with self.trainer.costs.time("sample_seconds"), limit:
            yield

    @property
    def _layout(self) -> dict[str, int]:
        """What the positions of prompts in a rank's list depend on."""
        num_ranks = self.trainer.accelerator.num_processes
        return {"num_ranks": num_ranks, "num_prompts": self.trainer.args.num_prompts}

    @property
    def _is_within(self) -> bool:
        """Whether steps of the newest batch are still to come."""
        config: Any = self.trainer.args
        return self.trainer.state.global_step % (config.num_updates * config.num_iterations) > 0

    def save(self, folder: Path) -> None:
        """Write this rank's completions of the next batch, and a teacher, into a checkpoint."""
        if self.teacher is not None:
            self.teacher.save(folder, self.trainer.accelerator)
        if isinstance(self.trainer.engine, AheadEngine):
            with self._limit():
                rank = self.trainer.accelerator.process_index
                self.trainer.engine.save(folder, rank, self._layout)

    def load(self, folder: Path, has_rows: bool) -> None:
        """Read them back.

        Args:
            folder: The checkpoint.
            has_rows: Whether the rows of the newest batch are those of this launch; if not, and the
                batch was not used up, it is made once more.
        """
        if self.teacher is not None:
            self.teacher.load(folder)
        trainer, engine = self.trainer, self.trainer.engine
        if isinstance(engine, AheadEngine):
            config: Any = trainer.args
            is_within = self._is_within and not has_rows
            rank = trainer.accelerator.process_index
            order = PromptSampler.of_run(trainer.train_dataset, config)  # type: ignore[arg-type]
            dealt = partial(deal_anew, rank=rank, **self._layout, rows_of_batch=order.batch)
            engine.load(
                folder,
                rank,
                self._layout,
                # What is not carried over is asked for again, a whole batch, and is less late.
                partial(dealt, is_within=is_within) if engine.carries_over else None,
                is_within,
            )

    def start_over(self, checkpoint: Path) -> None:
        """Hand the weights over again and forget what was asked ahead: the policy is another.

        The rows of a batch that is not used up are given up too, and its prompts come again.

        Args:
            checkpoint: Where it comes from; a teacher goes back to it, too.
        """
        if self.teacher is not None:
            self.teacher.load(checkpoint)
        self.synced_step = -1
        self.give_up(taken_too=self._is_within)

    def give_up(self, taken_too: bool = False) -> None:
        """Forget what was asked ahead, as where the run ends early; every rank must call it.

        Args:
            taken_too: Whether the prompts of the newest batch are to come again.
        """
        if isinstance(self.trainer.engine, AheadEngine):
            with self._limit():
                self.trainer.engine.forget(taken_too)
                # A rank may abort what others ask for.
                self.trainer.accelerator.wait_for_everyone()


def check_logps(batch: Batch) -> None:
    """Check that completions of an older policy can be corrected for.

    Raises:
        InputError: If the engine did not say how probable its tokens were.
    """
    if any(row.sample.sampling_per_token_logps is None for row in batch.rows):
        raise InputError(
            "max_staleness: got an engine that reports no log-probabilities, expected "
            "sampling_per_token_logps with every sample, by which older ones are corrected. Use a "
            "vLLM server, or max_staleness: 0."
        )
