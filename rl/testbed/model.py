"""The testbed's base model: its tokenizer, its size, and pretraining on the noisy teacher's work.

The teacher's errors have to become sampling noise around a right majority, not a lack of skill. So
where a result is written the model learns the teacher's whole distribution, which is known, and not
only the one result that was drawn: fewer solutions teach it the same.
"""

import random
import re
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm
from transformers import (
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from rl.testbed.parts import BOXED, Part

CONTEXT_TOKENS = 256
END = "<eos>"
BATCH_SIZE = 16
PEAK_LEARNING_RATE = 2e-3
NUM_WARMUP_STEPS = 50

# Draws a prompt and its solution.
DrawExample: TypeAlias = Callable[[random.Random], tuple[str, Sequence[Part]]]


def make_tokenizer(words: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    r"""Make a tokenizer of printable ASCII, with one token each for `10`..`99` and `\boxed{`.

    Decoding returns exactly the encoded text. Longer numbers are cut from the left into two
    digits; any other character becomes `<unk>`. The chat template concatenates the messages'
    contents, so a chat of one user message is the plain prompt.

    Args:
        words: Further texts that are one token each; where two fit, the longer one is taken.

    Example:
        >>> tokenizer = make_tokenizer()
        >>> tokenizer.tokenize("5+6=11\\boxed{11}")
        ['5', '+', '6', '=', '11', '\\boxed{', '11', '}']
    """
    tokens = ["<pad>", END, "<unk>", BOXED]
    tokens += sorted(set(string.printable) - set("\t\r\v\f"))
    tokens += [str(number) for number in range(10, 100)]
    longest_first = sorted(words, key=len, reverse=True)
    tokens += longest_first
    pieces = [*map(re.escape, longest_first), r"\\boxed\{", r"[0-9]{1,2}", r"[\s\S]"]
    vocabulary = {token: token_id for token_id, token in enumerate(tokens)}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex("|".join(pieces)), behavior="isolated")
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        eos_token=END,
        unk_token="<unk>",
        padding_side="left",
        model_max_length=CONTEXT_TOKENS,
        clean_up_tokenization_spaces=False,
        chat_template="{% for message in messages %}{{ message['content'] }}{% endfor %}",
    )


def make_model(tokenizer: PreTrainedTokenizerFast, num_layers: int = 2) -> Qwen3ForCausalLM:
    """Make an untrained float32 Qwen3 from torch's current RNG state; 0.45M parameters in 2 layers.

    `head_dim` is 32 because vLLM's CPU backend refuses smaller ones. The weights start larger than
    the library's default, which is meant for wide models and costs this one 100 steps.
    """
    vocabulary = tokenizer.get_vocab()
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=num_layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=32,
        max_position_embeddings=CONTEXT_TOKENS,
        tie_word_embeddings=True,
        initializer_range=0.06,
        pad_token_id=vocabulary["<pad>"],
        eos_token_id=vocabulary[END],
        bos_token_id=None,
        dtype="float32",
    )
    model = Qwen3ForCausalLM(config)
    model.generation_config = plain_sampling(tokenizer)
    return model


def plain_sampling(tokenizer: PreTrainedTokenizerFast) -> GenerationConfig:
    """Sample from the model's own distribution, unless asked otherwise."""
    return GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )


def pretrain(
    draw_example: DrawExample,
    *,
    seed: int,
    num_steps: int,
    num_layers: int = 2,
    others: Sequence[tuple[DrawExample, int]] = (),
    show_progress: bool = True,
) -> tuple[Qwen3ForCausalLM, PreTrainedTokenizerFast]:
    """Train a fresh model on the teacher's solutions of random prompts.

    The loss is the cross-entropy with the teacher's distribution of each token of the solution and
    the end token; prompts are not predicted.
    The weights depend on the arguments alone: one thread does the work, and torch's global RNG
    and thread count are as before afterwards.

    Args:
        draw_example: Draws a prompt and its solution.
        seed: Fixes the initial weights and the corpus.
        num_steps: Optimizer steps of `BATCH_SIZE` solutions, at least 1.
        num_layers: Of the model.
        others: Further kinds of examples: how one is drawn, and how many a step takes beside the
            others. Each kind has a mean loss of its own, and these add up.
        show_progress: Whether to show a progress bar with the loss.

    Returns:
        The model in evaluation mode, and its tokenizer.
    """
    tokenizer = make_tokenizer()
    rng = random.Random(f"corpus {seed}")

    def draw_loss() -> torch.Tensor:
        losses = []
        for draw_one, number in ((draw_example, BATCH_SIZE), *others):
            drawn = [solution_targets(*draw_one(rng), tokenizer) for _ in range(number)]
            losses.append(distribution_loss(model, drawn))
        return torch.stack(losses).sum()

    with seeded_single_thread(seed):
        model = make_model(tokenizer, num_layers)
        minimize(model, draw_loss, num_steps, show_progress=show_progress)
    return model.eval(), tokenizer


def minimize(
    model: PreTrainedModel,
    draw_loss: Callable[[], torch.Tensor],
    num_steps: int,
    *,
    show_progress: bool = True,
) -> None:
    """Train a model with AdamW: a warmup of `NUM_WARMUP_STEPS`, then linearly down to 0.

    Args:
        model: Changed in place.
        draw_loss: Draws a batch and returns its loss.
        num_steps: How many batches.
        show_progress: Whether to show a progress bar with the loss.
    """
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=PEAK_LEARNING_RATE, betas=(0.9, 0.98), fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / NUM_WARMUP_STEPS) * (1 - step / num_steps)
    )
    progress = tqdm(range(num_steps), "pretraining", unit="step", disable=not show_progress)
    for step in progress:
        loss = draw_loss()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 20 == 0:
            progress.set_postfix(loss=f"{loss.item():.3f}")


def solution_targets(
    prompt: str, parts: Sequence[Part], tokenizer: PreTrainedTokenizerFast
) -> tuple[list[int], list[dict[int, float]]]:
    """Tokenize a prompt with one solution, and say what the teacher may write at each position.

    Returns:
        Token ids, an end token last; and for each of them the distribution it was drawn from, token
        id -> probability, empty within the prompt.
    """
    input_ids = tokenizer.encode(prompt)
    targets: list[dict[int, float]] = [{} for _ in input_ids]
    for part in parts:
        token_ids = tokenizer.encode(part.text or END)
        input_ids += token_ids
        # A negative number is two tokens; given the sign, its digits stay as they were written.
        targets += [{token_id: 1.0} for token_id in token_ids]
        if part.alternatives:
            first = len(targets) - len(token_ids)
            targets[first] = _first_token_distribution(part.alternatives, tokenizer)
    if input_ids[-1] != tokenizer.eos_token_id:
        input_ids.append(tokenizer.eos_token_id)  # type: ignore[arg-type]
        targets.append({input_ids[-1]: 1.0})
    return input_ids, targets


def _first_token_distribution(
    alternatives: Mapping[str, float], tokenizer: PreTrainedTokenizerFast
) -> dict[int, float]:
    """Distribution of the first token of several texts; negative numbers share the sign's."""
    distribution: dict[int, float] = {}
    for text, prob in alternatives.items():
        first_token = "-" if text.startswith("-") else text or END
        token_id = tokenizer.convert_tokens_to_ids(first_token)  # 30 times as fast as encoding
        assert isinstance(token_id, int)
        distribution[token_id] = distribution.get(token_id, 0.0) + prob
    return distribution


def distribution_loss(
    model: PreTrainedModel,
    examples: Sequence[tuple[list[int], list[dict[int, float]]]],
    **inputs: torch.Tensor,
) -> torch.Tensor:
    """Return the mean cross-entropy per solution token with the distribution it was drawn from.

    Args:
        model: Reads token ids, shape (rows, tokens).
        examples: What `solution_targets` returns, one a row.
        inputs: What else the model reads, as pictures.
    """
    # Padding is on the right here, where causal attention hides it from every scored token.
    input_ids = pad_sequence([torch.tensor(ids) for ids, _ in examples], batch_first=True)
    entries = [
        (row, position - 1, token_id, prob)
        for row, (_, targets) in enumerate(examples)
        for position, target in enumerate(targets)
        for token_id, prob in target.items()
    ]
    rows, positions, token_ids, probs = zip(*entries, strict=True)
    logps = model(input_ids=input_ids, **inputs).logits.log_softmax(-1)
    weights = torch.tensor(probs)
    return -(logps[rows, positions, token_ids] * weights).sum() / weights.sum()


@contextmanager
def seeded_single_thread(seed: int) -> Iterator[None]:
    """Compute on one thread from this seed; torch's RNG and threads are as before afterwards."""
    # Sums depend on the thread count, and two threads gain nothing on matrices this small.
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(num_threads)
