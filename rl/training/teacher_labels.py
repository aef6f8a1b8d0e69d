"""A teacher that has answered already: the base policy's answers to every prompt, in a file.

The file is JSON lines: what the answers were made with first, then for each prompt its `prompt_id`
and the answers of all votes, null where there is none. It holds no label.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from datasets import Dataset
from tqdm import tqdm

from rl.answers import extract_answer
from rl.data.json_lines import read_json_lines
from rl.data.views import read_back
from rl.data.whole_files import write_whole, writing_into
from rl.errors import InputError
from rl.groups.visits import VisitKey, shard
from rl.rollouts.engine import derive_seed, images_argument
from rl.rollouts.fingerprint import same_fingerprint, weight_fingerprint
from rl.rollouts.stop_strings import completion_texts
from rl.rollouts.weights import full_parameters
from rl.training.source import Policy
from rl.training.visit_sampling import Prompt, prompt_tokens
from rl.types import Group, Rollout
from rl.watchdog import sampling_deadline

LABELS_FILE = "teacher_labels.jsonl"

_logger = logging.getLogger(__name__)


class LabelsTeacher:
    """Answers every prompt once, with the run's own engine before the first update.

    So it works with any engine and any way the model is sharded, and costs no memory.

    Source: the fixed teacher of SRT, arXiv 2505.21444: pseudo-labels from the majority of the
    policy that training starts from. Its code (tajwarfahim/srt at 212e57e) has no script that makes
    them; how many completions vote is not published.

    Args:
        path: The file; one that fits is read, otherwise it is made.
        prompts: The training set, with `prompt`, `prompt_id` and, with views, `letters`.
        num_votes: Completions of a prompt.
    """

    def __init__(self, path: Path, prompts: Dataset, num_votes: int) -> None:
        self.path = path
        self.prompts = prompts
        self.num_votes = num_votes
        self.answers: dict[str, list[str | None]] = {}

    def answer(
        self,
        keys: Sequence[VisitKey],
        prompts: Mapping[VisitKey, Prompt],
        policy: Policy,
        index: int,
    ) -> list[Group]:
        """Look the answers up; at the first call read them, or make them."""
        if not self.answers:
            self._prepare(policy, index)
        return [
            Group(
                prompt_id=key.prompt_id,
                prompt=prompts[key].example["rendered_prompt"],
                visit=key.visit,
                view=prompts[key].example.get("view", 0),
                rollouts=tuple(
                    Rollout(completion="", answer=answer, trained=False)
                    for answer in self.answers[key.prompt_id]
                ),
            )
            for key in keys
        ]

    def _prepare(self, policy: Policy, index: int) -> None:
        made_with = describe(self.prompts, self.num_votes, policy)
        is_base = index == 0 and policy.version == 0
        weights = weights_of(policy) if is_base else None
        # One rank looks, so that all of them go the same way.
        found: Any = gather_object(
            [read_labels(self.path, made_with, weights)]
            if policy.accelerator.is_main_process
            else []
        )
        [self.answers] = found
        if self.answers:
            return
        if weights is None:
            raise InputError(
                f"teacher.labels: got no file {self.path}, expected the one that the run was "
                "started with: the policy is not the base any more. Put it back, or start anew."
            )
        with policy.costs.time("teacher_seconds"):
            self.answers = self._ask(policy)
        if policy.accelerator.is_main_process:
            head = {**made_with, "weights": list(weights)}
            lines = [{"prompt_id": name, "answers": a} for name, a in self.answers.items()]
            with writing_into(self.path.parent):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                text = "".join(json.dumps(line) + "\n" for line in ({"made_with": head}, *lines))
                write_whole(self.path, text)
            _logger.warning("teacher: %d prompts answered, %s", len(lines), self.path)

    def _ask(self, policy: Policy) -> dict[str, list[str | None]]:
        """Sample all prompts, shared out over the ranks."""
        config, accelerator = policy.config, policy.accelerator
        every: Any = self.prompts
        rows: dict[str, Any] = {row["prompt_id"]: row for row in every}
        answers: dict[str, list[str | None]] = {}
        num_tokens = 0
        starts = range(0, len(rows), config.num_prompts)
        for start in tqdm(starts, "teacher", disable=not accelerator.is_main_process):
            batch = list(rows.values())[start : start + config.num_prompts]
            mine = shard(batch, accelerator.process_index, accelerator.num_processes)
            limit = sampling_deadline(config.max_sampling_seconds)
            with limit:  # every rank calls it as often: sampling from a sharded model is collective
                samples = policy.engine.generate(
                    [prompt_tokens(row, policy) for row in mine],
                    self.num_votes,
                    [derive_seed(config.seed, "teacher", row["prompt_id"]) for row in mine],
                    **images_argument([policy.images_of(row) for row in mine]),
                )
            for row, votes in zip(mine, samples, strict=True):
                texts = completion_texts(votes, policy.tokenizer, config.stop_strings)
                found = [
                    extract_answer(
                        text, methods=config.answer_methods, choices=config.answer_choices
                    )
                    for text in texts
                ]
                letters = row.get("letters", "")
                answers[row["prompt_id"]] = [read_back(answer, letters) for answer in found]
                num_tokens += sum(len(sample.completion_ids) for sample in votes)
        parts: Any = gather_object([(answers, num_tokens)])
        joined = {name: found for part, _ in parts for name, found in part.items()}
        policy.costs.add("num_teacher_tokens", sum(spent for _, spent in parts))
        policy.costs.add("num_sampled_tokens", sum(spent for _, spent in parts))
        policy.costs.add("num_sampled_completions", len(joined) * self.num_votes)
        return {name: joined[name] for name in rows}

    def save(self, folder: Path, accelerator: Accelerator) -> None:
        """Write nothing: the file is beside the checkpoints."""

    def load(self, folder: Path) -> None:
        """Read nothing."""


def describe(prompts: Dataset, num_votes: int, policy: Policy) -> dict[str, Any]:
    """Say what the answers depend on beside the weights, as JSON gives it back."""
    config = policy.config
    names = (
        [*prompts["prompt_id"], *prompts["letters"]]
        if "letters" in prompts.column_names
        else [*prompts["prompt_id"]]
    )
    facts = {
        "prompts": derive_seed(*names),
        "num_votes": num_votes,
        "seed": config.seed,
        "answer_methods": config.answer_methods,
        "answer_choices": config.answer_choices,
        "sampling": asdict(policy.engine.settings),
    }
    return json.loads(json.dumps(facts))


def weights_of(policy: Policy) -> tuple[float, float]:
    """Return the fingerprint of the policy's weights; every rank must call it."""
    parameters = full_parameters(policy.model, policy.accelerator)
    return weight_fingerprint((parameter for _, parameter in parameters), torch.float32)


def read_labels(
    path: Path, made_with: Mapping[str, Any], weights: tuple[float, float] | None
) -> dict[str, list[str | None]]:
    """Read a file of a teacher's answers.

    Args:
        path: The file.
        made_with: What they have to be made with (`describe`).
        weights: Fingerprint of the weights they have to be made with; None: not compared.

    Returns:
        Prompt id -> answers; empty if there is no file.

    Raises:
        InputError: If the file is no such file, or was made with anything else.
    """
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        lines: list[Any] = [line.value for line in read_json_lines(file, path)]
    head = lines[0].get("made_with") if lines and isinstance(lines[0], dict) else None
    if not isinstance(head, dict) or not all(isinstance(line, dict) for line in lines):
        raise InputError(
            f"teacher.labels: got {path}, expected answers of a teacher. Name another file."
        )
    other = [name for name, value in made_with.items() if head.get(name) != value]
    was = head.get("weights") or (0.0, 0.0)
    if weights is not None and not same_fingerprint((was[0], was[1]), weights):
        other.append("weights")
    if other:
        raise InputError(
            f"teacher.labels: got {path}, whose answers were made with another value of "
            f"{', '.join(other)}, expected those of this run. Name another file, or remove it."
        )
    return {line["prompt_id"]: line["answers"] for line in lines[1:]}
