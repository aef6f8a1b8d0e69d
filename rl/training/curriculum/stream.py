"""The prompts of a run one after another, in the order of its curriculum; its place is kept."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset

from rl.errors import InputError
from rl.training.batch_sizes import count_batches
from rl.training.config import LabelFreeConfig
from rl.training.curriculum.contract import PromptFact
from rl.training.curriculum.registry import Curricula, build_curricula
from rl.training.prompt_order import PromptSampler


def check_first_epoch(prompts: Dataset, config: LabelFreeConfig) -> None:
    """Check that the curriculum leaves enough prompts in the first epoch.

    Of a stream each file must have enough, and the run has to reach the last one; a rule beside it
    may leave fewer later on.

    Raises:
        InputError: If it does not, or what it reads is not there or is of another kind.
    """
    curricula = build_curricula(config.curriculum)
    if not curricula:
        return
    stream = PromptStream(prompts, config, curricula)
    stream.next_batch()
    if not any(hasattr(rule, "part") for rule in curricula.rules.values()):
        return
    check_files(stream.facts, config)
    if len(curricula.rules) == 1:
        [rule] = curricula.rules.values()
        check_length(stream.facts, rule, config)


def check_files(facts: Sequence[PromptFact], config: LabelFreeConfig) -> None:
    """Check that each file of a stream fills a batch.

    Raises:
        InputError: If one does not.
    """
    # Its first epoch says nothing of the files to come.
    found = Counter(fact.part for fact in facts)
    for part, name in enumerate(config.dataset):
        if found[part] < config.num_prompts:
            raise InputError(
                f"dataset: got {found[part]} prompts of {name} that are not too long, expected at "
                f"least num_prompts ({config.num_prompts}), as the stream visits each file by "
                "itself. Remove the file, lower num_prompts, or raise max_prompt_length."
            )


def check_length(facts: Sequence[PromptFact], rule: Any, config: LabelFreeConfig) -> None:
    """Check that a run is long enough for the last file of its stream to begin.

    Args:
        facts: What is known of each prompt.
        rule: Visits each file for `epochs`.
        config: Lengths and sizes.

    Raises:
        InputError: If the run ends before.
    """
    found = Counter(fact.part for fact in facts)
    batches = [found[part] // config.num_prompts * rule.epochs for part in sorted(found)]
    steps = config.num_updates * config.num_iterations
    num_steps = count_batches(config, len(facts)) * steps
    if num_steps <= sum(batches[:-1]) * steps:
        raise InputError(
            f"max_steps: got a run of {num_steps} optimizer steps, expected more than "
            f"{sum(batches[:-1]) * steps}, after which the last file of the stream begins "
            f"(curriculum.data_stream.epochs). Set max_steps to {sum(batches) * steps}, with which "
            "it has its epochs too, or lower epochs."
        )


def prompt_facts(prompts: Dataset) -> list[PromptFact]:
    """Say of each prompt of a training set what rules are told."""
    parts = prompts["part"] if "part" in prompts.column_names else [0] * len(prompts)
    columns = (prompts["prompt_id"], prompts["rendered_prompt"], prompts["row"], parts)
    return [
        PromptFact(prompt_id=name, rendered=rendered, row=row, part=part)
        for name, rendered, row, part in zip(*columns, strict=True)
    ]


class PromptStream:
    """Hands out the rows of the training set, epoch by epoch.

    An epoch is the order that follows from seed and epoch, put in order by the curriculum at the
    time when it begins. Its last rows, where they do not fill a batch, are left out. All ranks hand
    out the same rows, and a checkpoint has the rest of the epoch: so a resumed run goes on in it.

    Args:
        prompts: The training set.
        config: Seed, sizes and whether prompts are shuffled.
        curricula: Order the rows.
    """

    def __init__(self, prompts: Dataset, config: LabelFreeConfig, curricula: Curricula) -> None:
        self.facts = prompt_facts(prompts)
        self.sampler = PromptSampler.of_run(prompts, config)
        self.curricula = curricula
        self.epoch = -1
        self.rows: list[int] = []

    def next_batch(self) -> list[int]:
        """Return the rows that are due, `num_prompts` of them.

        Raises:
            InputError: If the curriculum leaves fewer in an epoch.
        """
        num_prompts = self.sampler.num_prompts
        if len(self.rows) < num_prompts:
            self.epoch += 1
            self.rows = self.curricula.order(self.sampler.order(self.epoch), self.facts)
            if len(self.rows) < num_prompts:
                raise InputError(
                    f"curriculum: got {len(self.rows)} prompts in an epoch, expected at least "
                    f"num_prompts ({num_prompts}). Leave out fewer, or lower num_prompts."
                )
        return self.more(num_prompts)

    def more(self, num_rows: int) -> list[int]:
        """Return the next rows of this epoch, at most so many."""
        taken, self.rows = self.rows[:num_rows], self.rows[num_rows:]
        return taken

    def state_dict(self) -> dict[str, Any]:
        """The place in the stream, as plain JSON."""
        return {"epoch": self.epoch, "rows": self.rows}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a place."""
        self.epoch, self.rows = state["epoch"], list(state["rows"])
