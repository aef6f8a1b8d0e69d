"""The testbed of self-play: tiny notes, and a tiny base model that plays all three roles badly.

    DIR/documents.jsonl   one {"text", "key"} per note; the key names its topic
    DIR/heldout.jsonl     one {"prompt", "label"} per line: questions of the generator over other
                          notes, for evaluation only
    DIR/base/             the base model and its tokenizer
    DIR/testbed.json      the settings; its presence says that the testbed is finished

`rl.testbed.selfplay_teacher` says what the notes and the teacher's work are.
"""

import json
import random
from pathlib import Path

import torch
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from rl.data.json_lines import write_json_lines
from rl.errors import InputError
from rl.selfplay.role_prompts import R_ZERO_SLOTS, Templates
from rl.testbed.model import make_model, make_tokenizer
from rl.testbed.selfplay_teacher import (
    HABIT,
    HELDOUT_FORMS,
    PRACTICE,
    Notes,
    draw_challenge,
    draw_judgment,
    draw_notes,
    draw_question,
    draw_transcript,
    gold_answer,
)

PROMPTS = Path(__file__).parents[1] / "selfplay" / "prompts" / "testbed"
NUM_TOPICS = 96
NUM_HELDOUT = 192
DEFAULT_NUM_PRETRAINING_STEPS = 1600
BATCH_SIZE = 16
NUM_JUDGMENTS = 32  # of a step, beside the batch: they are short, and comparing is hard to learn
NUM_CHALLENGES = 2
PRACTICE_SHARE = 0.7  # of the steps, in which questions of all forms are asked alike
PEAK_LEARNING_RATE = 2e-3
NUM_WARMUP_STEPS = 100


def write_selfplay_testbed(
    output_dir: Path | str,
    seed: int = 0,
    *,
    num_pretraining_steps: int = DEFAULT_NUM_PRETRAINING_STEPS,
    show_progress: bool = True,
) -> Path:
    """Build the testbed in a folder, or reuse it if it is there with the same settings.

    The same settings give the same bytes on the same machine. Takes about four minutes.

    Args:
        output_dir: A new or empty folder, or one that holds this testbed.
        seed: Fixes notes, questions, initial weights and transcripts, at least 0.
        num_pretraining_steps: At least 1; few steps give a model that plays no role.
        show_progress: Whether to show a progress bar with the loss.

    Returns:
        The folder.

    Raises:
        InputError: If a number is out of range, or the folder holds anything else.
    """
    if seed < 0 or num_pretraining_steps < 1:
        raise InputError(
            f"seed, num_pretraining_steps: got {seed} and {num_pretraining_steps}, expected at "
            "least 0 and 1. Raise them."
        )
    folder = Path(output_dir)
    settings = {"seed": seed, "num_pretraining_steps": num_pretraining_steps}
    record = folder / "testbed.json"
    if record.is_file() and json.loads(record.read_text(encoding="utf-8")) == settings:
        return folder
    if folder.exists() and any(folder.iterdir()):
        raise InputError(
            f"output_dir: got {folder}, which holds other files, expected a new or empty folder. "
            "Choose another folder or empty this one."
        )
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(f"self-play notes {seed}")
    rows = [
        {"text": text, "key": f"notes {number}"}
        for number in range(NUM_TOPICS)
        for text in draw_notes(rng).texts
    ]
    write_json_lines(folder / "documents.jsonl", rows)
    write_json_lines(
        folder / "heldout.jsonl", heldout_problems(random.Random(f"self-play heldout {seed}"))
    )
    model, tokenizer = pretrain_roles(
        seed=seed, num_steps=num_pretraining_steps, show_progress=show_progress
    )
    model.save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    record.write_text(json.dumps(settings) + "\n", encoding="utf-8")
    return folder


def heldout_problems(rng: random.Random) -> list[dict[str, str]]:
    """Draw labelled questions, each over notes of its own.

    They have the forms of `HELDOUT_FORMS` in turn.
    """
    templates = Templates("testbed")
    problems = []
    for number in range(NUM_HELDOUT):
        notes: Notes = draw_notes(rng)
        question = draw_question(HELDOUT_FORMS[number % len(HELDOUT_FORMS)], notes.values, rng)
        shown = templates.documents(list(notes.texts))
        prompt = templates.fill("responder", {"documents": shown, "question": question})
        problems.append({"prompt": prompt, "label": gold_answer(question, notes.values)})
    return problems


def pretrain_roles(
    *, seed: int, num_steps: int, show_progress: bool = True
) -> tuple[Qwen3ForCausalLM, PreTrainedTokenizerFast]:
    """Train a fresh model on the teacher's transcripts of all roles; prompts are not predicted.

    The weights depend on the arguments alone: one thread does the work, and torch's global RNG and
    thread count are as before afterwards.

    Returns:
        The model in evaluation mode, and its tokenizer.
    """
    tokenizer = make_tokenizer()
    rng = random.Random(f"self-play transcripts {seed}")
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = make_model(tokenizer)
            _train(model, tokenizer, rng, num_steps, show_progress)
    finally:
        torch.set_num_threads(num_threads)
    return model.eval(), tokenizer


def _train(
    model: Qwen3ForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    rng: random.Random,
    num_steps: int,
    show_progress: bool,
) -> None:
    templates = Templates("testbed")
    r_zero = Templates("r_zero", PROMPTS, R_ZERO_SLOTS)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=PEAK_LEARNING_RATE, betas=(0.9, 0.98), fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / NUM_WARMUP_STEPS) * (1 - step / num_steps)
    )
    progress = tqdm(range(num_steps), "pretraining", unit="step", disable=not show_progress)
    for step in progress:
        forms = PRACTICE if step < PRACTICE_SHARE * num_steps else HABIT
        work = [draw_transcript(rng, templates, forms) for _ in range(BATCH_SIZE)]
        judgments = [draw_judgment(rng, templates) for _ in range(NUM_JUDGMENTS)]
        challenges = [draw_challenge(rng, r_zero) for _ in range(NUM_CHALLENGES)]
        short = judgments + challenges
        loss = transcript_loss(model, tokenizer, work) + transcript_loss(model, tokenizer, short)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 20 == 0:
            progress.set_postfix(loss=f"{loss.item():.3f}")


def transcript_loss(
    model: Qwen3ForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    transcripts: list[tuple[str, str]],
) -> torch.Tensor:
    """Mean cross-entropy per token of the completions, each with its end token."""
    rows, labels = [], []
    for prompt, completion in transcripts:
        prompt_ids = tokenizer.encode(prompt)
        completion_ids = [*tokenizer.encode(completion), tokenizer.eos_token_id]
        rows.append(torch.tensor(prompt_ids + completion_ids))
        labels.append(torch.tensor([-100] * len(prompt_ids) + completion_ids))
    # Padding is on the right here, where causal attention hides it from every scored token.
    return model(
        input_ids=pad_sequence(rows, batch_first=True),
        labels=pad_sequence(labels, batch_first=True, padding_value=-100),
    ).loss
