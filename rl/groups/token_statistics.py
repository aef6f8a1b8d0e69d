"""Statistics of every sampled token under the policy, in one forward pass without gradient.

The logits of one chunk of positions exist at a time, never those of all rows.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import wraps
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rl.data.image_inputs import ImageInputs
from rl.errors import InputError
from rl.rollouts.engine import Images, Sample
from rl.rollouts.image_tokens import image_tensors
from rl.types import Group, Rollout, TokenStatistics

# Most numbers in one chunk of logits: 128 MiB of float32, whatever the vocabulary.
MAX_CHUNK_LOGITS = 1 << 25
# Likeliest tokens whose log-probabilities make a confidence (ECHO's code: confidence_top_k).
NUM_LIKELIEST = 5
# Settings by which some architectures change the logits after the output head.
_SCALED_LOGITS = (
    "final_logit_softcapping",
    "logit_scale",
    "output_multiplier",
    "lm_head_multiplier",
    "logits_scaling",
)


def logit_statistics(logits: Tensor, token_ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Say what a distribution thought of a token, and how sure it was.

    logp = log p[token]
    entropy = -sum_v p[v] log p[v]
    self_certainty = KL(uniform || p) = -log V - 1/V sum_v log p[v]

    Source: self-certainty as in Intuitor, arXiv 2505.19590, equation 1. Its code leaves log V out,
    which shifts every value alike.

    Args:
        logits: (N, V).
        token_ids: (N,).

    Returns:
        logps, entropies and self-certainties in nats, float32, (N,) each.
    """
    all_logps = logits.float().log_softmax(dim=-1)
    logps = all_logps.gather(1, token_ids[:, None]).squeeze(1)
    entropies = torch.special.entr(all_logps.exp()).sum(dim=-1)
    log_size = torch.log(torch.tensor(float(logits.shape[-1])))
    # Rounding may bring both a hair below zero, their least value.
    return logps, entropies.clamp(min=0), (-log_size - all_logps.mean(dim=-1)).clamp(min=0)


def refuse_scaled_logits(model: PreTrainedModel, what: str) -> None:
    """Check that what the output head gives are the model's logits.

    Args:
        model: A causal language model.
        what: Needs it.

    Raises:
        InputError: If the architecture changes its logits after the output head.
    """
    text_config = model.config.get_text_config()
    scaled = [name for name in _SCALED_LOGITS if getattr(text_config, name, None) is not None]
    if scaled:
        raise InputError(
            f"model: got an architecture with {scaled[0]}, expected plain logits for {what}. "
            "Choose another reward, or term, or another model."
        )


def top_confidence(logits: Tensor, number: int = NUM_LIKELIEST) -> Tensor:
    """Say how much of a distribution lies on few tokens.

    C = -1/k sum of log p[v] over the k likeliest tokens v, at least log k

    Source: DeepConf, arXiv 2508.15260, section 2; k is 5 as in ECHO's code, user683/ECHO.

    Args:
        logits: (N, V).
        number: k; V where there are no more tokens.

    Returns:
        In nats, float32, (N,); infinite where fewer than k tokens are possible.
    """
    likeliest = logits.float().topk(min(number, logits.shape[-1]), dim=-1).values
    return torch.logsumexp(logits.float(), dim=-1) - likeliest.mean(dim=-1)


def add_token_statistics(model: PreTrainedModel, temperature: float) -> None:
    """Let `model(input_ids, labels=..., token_statistics=True)` return statistics of its labels.

    Called this way, the model returns the logps, entropies and self-certainties of the labels from
    the second on, stacked, (3, B, L - 1), at a label of -100 any; of `shift_labels`, which are
    predicted where they stand, (3, B, L); with `with_confidence=True` as a fourth row the
    confidences, which cost the search for the likeliest tokens. It stays one call of the whole
    model, which is what sharded training needs. Any other call is as before.

    Args:
        model: A causal language model, not yet wrapped.
        temperature: Divides the logits.

    Raises:
        InputError: If the architecture changes its logits after the output head.
    """
    text_config = model.config.get_text_config()
    refuse_scaled_logits(model, "rewards with token statistics")
    original: Any = model.forward

    @wraps(original)
    def forward(*args: Any, **kwargs: Any) -> Any:
        if not kwargs.pop("token_statistics", False):
            return original(*args, **kwargs)
        with_confidence = kwargs.pop("with_confidence", False)
        labels, shift_labels = kwargs.pop("labels", None), kwargs.pop("shift_labels", None)
        hidden = model.base_model(*args, use_cache=False, **kwargs).last_hidden_state
        if shift_labels is None:
            hidden, shift_labels = hidden[:, :-1], labels[:, 1:].clamp(min=0)
        head: Any = model.get_output_embeddings()
        chunk = max(1, MAX_CHUNK_LOGITS // text_config.vocab_size)

        def measure(logits: Tensor, token_ids: Tensor) -> Tensor:
            more = [top_confidence(logits)] if with_confidence else []
            return torch.stack([*logit_statistics(logits, token_ids), *more])

        parts = [
            measure(head(states) / temperature, token_ids)
            for states, token_ids in zip(
                hidden.flatten(0, 1).split(chunk),
                shift_labels.flatten().split(chunk),
                strict=True,
            )
        ]
        return torch.cat(parts, dim=1).view(-1, *shift_labels.shape)

    model.forward = forward


@torch.no_grad()
def measure_tokens(
    model: Any,
    accelerator: Accelerator,
    rows: Sequence[tuple[list[int], list[int]]],
    pad_token_id: int,
    batch_size: int,
    with_confidence: bool = False,
    images: Images = None,
    image_inputs: ImageInputs | None = None,
) -> list[list[list[float]]]:
    """Run completions through a model prepared by `add_token_statistics`. Every rank must call it.

    Args:
        model: The policy, as the trainer wraps it.
        accelerator: The trainer's.
        rows: Prompt ids and completion ids; ranks may have different numbers of rows.
        pad_token_id: Fills rows up; any token does.
        batch_size: Rows per forward pass.
        with_confidence: Whether to measure `top_confidence` as well.
        images: Of each row's prompt.
        image_inputs: Makes pixels of them; None for a model of text alone.

    Returns:
        For each row, in order: logps, entropies and self-certainties of its completion's tokens,
        and their confidences.
    """
    # Rows of one length share a batch, so that little is padded.
    order = sorted(range(len(rows)), key=lambda i: len(rows[i][0]) + len(rows[i][1]))
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    measured: list[list[list[float]]] = [[] for _ in rows]
    # A forward pass of a sharded model is collective: a rank with fewer batches runs its first row
    # again, so that it has images where the others have; without rows it runs two tokens.
    for number in range(max(gather_object([len(batches)]))):
        batch = batches[number] if number < len(batches) else order[:1]
        ids = [torch.tensor(rows[i][0] + rows[i][1]) for i in batch] or [torch.zeros(2).long()]
        input_ids = pad_sequence(ids, batch_first=True, padding_value=pad_token_id)
        lengths = torch.tensor([len(row) for row in ids])
        columns = torch.arange(input_ids.shape[1])
        is_token = columns < lengths[:, None]
        of_prompt = columns < torch.tensor([len(rows[i][0]) for i in batch] or [1])[:, None]
        inputs = {
            "input_ids": input_ids,
            "attention_mask": is_token.long(),
            "labels": input_ids.masked_fill(of_prompt | ~is_token, -100),
        }
        of_rows = [images[i] for i in batch] if images else None
        inputs |= image_tensors(image_inputs, of_rows, input_ids)
        with accelerator.autocast():
            inputs = {name: value.to(accelerator.device) for name, value in inputs.items()}
            more = {"with_confidence": True} if with_confidence else {}
            statistics = model(**inputs, token_statistics=True, **more).cpu()
        for row, i in enumerate(batch if number < len(batches) else []):
            start, end = len(rows[i][0]) - 1, len(rows[i][0]) + len(rows[i][1]) - 1
            measured[i] = statistics[:, row, start:end].tolist()
    return measured


def add_statistics(
    groups: Sequence[Group],
    samples: Sequence[tuple[list[int], list[Sample]]],
    *,
    model: Any,
    accelerator: Accelerator,
    tokenizer: PreTrainedTokenizerBase,
    batch_size: int,
    images: Images = None,
    image_inputs: ImageInputs | None = None,
) -> list[Group]:
    """Fill in `Rollout.token_statistics`. Every rank must call it.

    Args:
        groups: Groups of this rank, answers looked for.
        samples: For each group its prompt's ids and its samples, in the rollouts' order.
        model: See `measure_tokens`.
        accelerator: See `measure_tokens`.
        tokenizer: Says what each token writes.
        batch_size: Rows per forward pass.
        images: For each group those of its prompt.
        image_inputs: See `measure_tokens`.
    """
    rows = [(prompt_ids, s.completion_ids) for prompt_ids, votes in samples for s in votes]
    pairs = zip(images or (), samples, strict=False)
    of_rows = [of_prompt for of_prompt, (_, votes) in pairs for _ in votes]
    pad_token_id = tokenizer.pad_token_id
    assert isinstance(pad_token_id, int)
    own = {"images": of_rows, "image_inputs": image_inputs}
    measured = iter(measure_tokens(model, accelerator, rows, pad_token_id, batch_size, **own))

    def complete(rollout: Rollout, sample: Sample) -> Rollout:
        logps, entropies, self_certainties = map(tuple, next(measured))
        tokens = [[token_id] for token_id in sample.completion_ids]
        pieces = tokenizer.batch_decode(tokens, skip_special_tokens=True)
        statistics = TokenStatistics(
            logps=logps,
            entropies=entropies,
            self_certainties=self_certainties,
            in_answer=find_answer_tokens(pieces, rollout.answer),
            pieces=tuple(pieces),
        )
        return replace(rollout, token_statistics=statistics)

    return [
        replace(group, rollouts=tuple(map(complete, group.rollouts, votes)))
        for group, (_, votes) in zip(groups, samples, strict=True)
    ]


def find_answer_tokens(pieces: Sequence[str], answer: str | None) -> tuple[bool, ...]:
    r"""Say which tokens write a part of the last occurrence of the answer.

    Args:
        pieces: Text of each token; together they are the completion.
        answer: The extracted answer, None if there is none.

    Returns:
        One truth value per token; all False if the answer does not occur as it was extracted.

    Example:
        >>> find_answer_tokens(["7;", "x", "=1", "7"], "17")
        (False, False, True, True)
    """
    start = "".join(pieces).rfind(answer) if answer else -1
    if not answer or start < 0:
        return (False,) * len(pieces)
    found, position = [], 0
    for piece in pieces:
        found.append(position < start + len(answer) and position + len(piece) > start)
        position += len(piece)
    return tuple(found)
