"""Hidden states of answers: what a layer holds at the token that completes an answer."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import gather_object
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm

from rl.answers import cluster_answers, extract_answer
from rl.answers.boxes import balanced
from rl.answers.votes import count_votes
from rl.data.prompts import tokenize_prompt
from rl.groups.visits import shard
from rl.rollouts.engine import Sample, derive_seed, with_settings
from rl.rollouts.stop_strings import completion_texts
from rl.watchdog import sampling_deadline

if TYPE_CHECKING:
    from rl.training.source import Policy

_BOX = r"\boxed{"
Row = tuple[list[int], int]  # tokens, and the place of one of them


def answer_place(pieces: Sequence[str]) -> int:
    r"""Find the token that closes the last whole box, or else the last one that writes anything.

    Source: SelectTTRL, heyiliyi/SelectTTRL-public at 8e6f15e, experiments/reproduction_helpers.py,
    `answer_position`, mode boxed_or_response_last.

    Args:
        pieces: Text of each token, special ones empty; at least one.

    Returns:
        Number of the token; 0 if none writes anything.

    Example:
        >>> answer_place(["So ", "\\boxed{", "7", "}", "."]), answer_place(["7", ".", ""])
        (3, 1)
    """
    text = "".join(pieces)
    start = text.rfind(_BOX)
    while start >= 0:
        content = balanced(text, start + len(_BOX))
        if content is not None:
            return _token_at(pieces, start + len(_BOX) + len(content) + 1)
        start = text.rfind(_BOX, 0, start)
    return max((number for number, piece in enumerate(pieces) if piece), default=0)


def _token_at(pieces: Sequence[str], end: int) -> int:
    """The first token with which the text has `end` characters."""
    length = 0
    for number, piece in enumerate(pieces):
        length += len(piece)
        if length >= end:
            return number
    raise AssertionError("the box lies within the text")


@torch.no_grad()
def states_at(policy: "Policy", rows: Sequence[Row], layer: int) -> Tensor:
    """Run rows through the policy and read a layer at one token of each; every rank must call it.

    Args:
        policy: Its model.
        rows: Of this rank; ranks may have different numbers of them.
        layer: As transformers counts `hidden_states`: 0 are the embeddings, l comes out of the l-th
            block.

    Returns:
        float32, on the CPU, (N, D).
    """
    size = policy.config.per_device_train_batch_size
    order = sorted(range(len(rows)), key=lambda i: len(rows[i][0]))
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    found: dict[int, Tensor] = {}
    # A forward pass of a sharded model is collective: a rank with fewer batches runs empty ones.
    for number in range(max(gather_object([len(batches)]))):
        batch = batches[number] if number < len(batches) else []
        ids = [torch.tensor(rows[i][0]) for i in batch] or [torch.zeros(2).long()]
        lengths = torch.tensor([len(row) for row in ids])
        inputs = {
            "input_ids": pad_sequence(ids, batch_first=True),
            "attention_mask": (torch.arange(int(lengths.max())) < lengths[:, None]).long(),
        }
        inputs = {name: value.to(policy.accelerator.device) for name, value in inputs.items()}
        with policy.accelerator.autocast():
            output = policy.model(
                **inputs, output_hidden_states=True, logits_to_keep=1, use_cache=False
            )
        for row, i in enumerate(batch):
            found[i] = output.hidden_states[layer][row, rows[i][1]].float().cpu()
    return torch.stack([found[i] for i in range(len(rows))]) if rows else torch.zeros(0)


class AnswerStates:
    """Asks the policy for answers to all prompts, and reads its states at them.

    Args:
        policy: As it is before the first update.
        layer: See `states_at`.
        num_samples: Completions whose votes make a direction; 0: none are sampled.
    """

    def __init__(self, policy: "Policy", layer: int, num_samples: int) -> None:
        self.policy, self.layer, self.num_samples = policy, layer, num_samples
        self.num_tokens = self.num_completions = 0

    def read(self, prompts: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Tensor, Tensor | None]]:
        """Read all prompts, shared out over the ranks; every rank must call it.

        Args:
            prompts: With `prompt` and `prompt_id`.

        Returns:
            For each prompt id, in order, the state at the greedy answer, (D,), and the mean state
            of the sampled answers that agree with their majority less that of the others, (D,);
            None where all agree, or nobody answers.
        """
        accelerator = self.policy.accelerator
        rank, num_ranks = accelerator.process_index, accelerator.num_processes
        size = self.policy.config.num_prompts
        mine: dict[str, tuple[Tensor, Tensor | None]] = {}
        starts = range(0, len(prompts), size)
        is_hidden = self.policy.config.disable_tqdm or not accelerator.is_main_process
        for start in tqdm(starts, "answers to select by", disable=is_hidden):
            batch = shard(prompts[start : start + size], rank, num_ranks)
            mine |= self._read_some(batch)
        everyone: Any = gather_object([(mine, self.num_tokens, self.num_completions)])
        self.policy.costs.add("num_sampled_tokens", sum(part[1] for part in everyone))
        self.policy.costs.add("num_sampled_completions", sum(part[2] for part in everyone))
        joined = {name: found for part, *_ in everyone for name, found in part.items()}
        return {prompt["prompt_id"]: joined[prompt["prompt_id"]] for prompt in prompts}

    def _read_some(
        self, batch: Sequence[Mapping[str, Any]]
    ) -> dict[str, tuple[Tensor, Tensor | None]]:
        policy, config = self.policy, self.policy.config
        arguments: Any = config.chat_template_kwargs
        ids = [tokenize_prompt(p["prompt"], policy.tokenizer, arguments) for p in batch]
        seeds = [derive_seed(config.seed, "select", p["prompt_id"]) for p in batch]
        greedy = with_settings(policy.engine, replace(policy.engine.settings, temperature=0.0))
        limit = sampling_deadline(config.max_sampling_seconds)
        with policy.costs.time("sample_seconds"), limit:
            answers = greedy.generate(ids, 1, seeds)
            votes = [[] for _ in ids]
            if self.num_samples:
                votes = policy.engine.generate(ids, self.num_samples, seeds)
        samples = [[*own, *others] for own, others in zip(answers, votes, strict=True)]
        rows = [self._row(prompt, s) for prompt, of in zip(ids, samples, strict=True) for s in of]
        states = states_at(policy, rows, self.layer)
        self.num_tokens += sum(len(s.completion_ids) for of in samples for s in of)
        self.num_completions += len(rows)
        of_prompts = states.split([len(of) for of in samples]) if rows else []
        return {
            prompt["prompt_id"]: (own[0], self._difference(own[1:], of))
            for prompt, own, of in zip(batch, of_prompts, votes, strict=True)
        }

    def _row(self, prompt_ids: list[int], sample: Sample) -> Row:
        tokens = [[token] for token in sample.completion_ids]
        pieces = self.policy.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return prompt_ids + sample.completion_ids, len(prompt_ids) + answer_place(pieces)

    def _difference(self, states: Tensor, votes: Sequence[Sample]) -> Tensor | None:
        config = self.policy.config
        texts = completion_texts(votes, self.policy.tokenizer, config.stop_strings)
        methods, choices = config.answer_methods, config.answer_choices
        found = [extract_answer(text, methods=methods, choices=choices) for text in texts]
        return difference_of_votes(states, cluster_answers(found))


def difference_of_votes(states: Tensor, clusters: Sequence[int | None]) -> Tensor | None:
    """Return the mean state of a majority less the mean state of the other answers.

    Args:
        states: (K, D).
        clusters: Class of each answer, None without one, which is on neither side, K.

    Returns:
        (D,); None where all that answer agree, or nobody answers.
    """
    leading = count_votes(clusters).winner
    agrees = torch.tensor([cluster == leading for cluster in clusters], dtype=torch.bool)
    answers = torch.tensor([cluster is not None for cluster in clusters], dtype=torch.bool)
    others = answers & ~agrees
    if leading is None or not others.any():
        return None
    return states[agrees].mean(dim=0) - states[others].mean(dim=0)
