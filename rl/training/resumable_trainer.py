"""What a resumed run needs to go on exactly: prompt order, half-used rollouts, signals' memory."""

from pathlib import Path
from typing import Any

import torch
from trl.trainer.grpo_trainer import GRPOTrainer

from rl.groups.memory import load_signals, save_signals
from rl.training.config import LabelFreeConfig
from rl.training.prompt_order import PromptSampler

BUFFER_FILE = "rollout_buffer_{rank}.pt"


class ResumableGRPOTrainer(GRPOTrainer):
    """TRL's trainer, whose runs go on after a stop as if there had been none.

    Prompt order depends on seed and epoch alone; a checkpoint also holds the rows of a generation
    batch that are not used up and what rewards and selectors remember.

    Overridden, with TRL 1.16's signatures: `_get_train_sampler`, `_prepare_inputs` and
    `_save_checkpoint`. Read: `_step`, `_buffered_inputs`.
    """

    args: LabelFreeConfig
    _resumed_from: Path | None = None

    @property
    def signals(self) -> dict[str, Any]:
        """Name -> reward, token selector, ...; those with a state keep it in checkpoints."""
        return {}

    def _get_train_sampler(self, dataset: Any = None) -> PromptSampler:
        rows: Any = self.train_dataset if dataset is None else dataset
        return PromptSampler(
            rows,
            num_prompts=self.args.num_prompts,
            num_generations=self.args.num_generations,
            num_repeats=self.num_iterations * self.args.steps_per_generation,
            shuffle=self.args.shuffle_dataset,
            seed=self.args.seed,
        )

    def train(self, resume_from_checkpoint: str | None = None, **kwargs: Any) -> Any:
        """Train; with a checkpoint folder, go on where it stopped."""
        self._resumed_from = Path(resume_from_checkpoint) if resume_from_checkpoint else None
        if self._resumed_from is not None:
            load_signals(self._resumed_from, self.signals)
        return super().train(resume_from_checkpoint=resume_from_checkpoint, **kwargs)

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
        if self._resumed_from is not None:
            self._step = self.state.global_step * self.args.gradient_accumulation_steps
            path = self._resumed_from / BUFFER_FILE.format(rank=self.accelerator.process_index)
            if path.is_file():
                buffered = torch.load(path, map_location=self.accelerator.device, weights_only=True)
                # On another number of ranks the rows do not fit; then they are sampled again.
                if len(buffered) == self.args.steps_per_generation:
                    self._buffered_inputs = buffered
            self._resumed_from = None
        return super()._prepare_inputs(generation_batch)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        if self.accelerator.is_main_process:
            save_signals(folder, self.signals)
        if self._step % (self.args.steps_per_generation * self.num_iterations):
            name = BUFFER_FILE.format(rank=self.accelerator.process_index)
            torch.save(self._buffered_inputs, folder / name)
