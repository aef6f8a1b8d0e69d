"""The testbed of self-play: tiny notes, and a tiny base model that plays all three roles badly.

    DIR/documents.jsonl   one {"text", "key"} per note; the key names its topic
    DIR/heldout.jsonl     one {"prompt", "label"} per line: questions about other notes, for
                          evaluation only, of the forms in `HELDOUT_FORMS` in turn
    DIR/heldout/<name>.jsonl   those of one form
    DIR/questions/oracle.jsonl, mix.jsonl   {"prompt", "label"}: the teacher's questions about the
                          documents, for controls without a questioner; `ORACLE_FORM`, of the right
                          difficulty for the base model, and all forms that it asks
    DIR/base/             the base model and its tokenizer
    DIR/testbed.json      settings and library versions; its presence says that it is finished

`rl.testbed.selfplay_notes` says what the notes are, `rl.testbed.selfplay_teacher` what the teacher
does in each role.
"""

import json
import random
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from rl.data.json_lines import write_json_lines
from rl.selfplay.role_prompts import R_ZERO_SLOTS, Templates
from rl.testbed import selfplay_teacher
from rl.testbed.folder import check_numbers, write_folder
from rl.testbed.model import pretrain
from rl.testbed.parts import Part
from rl.testbed.selfplay_notes import Notes, draw_notes, draw_question, gold_answer
from rl.testbed.selfplay_teacher import (
    HABIT,
    HELDOUT_FORMS,
    draw_challenge,
    draw_judgment,
    draw_questioner,
    draw_responder,
)

PROMPTS = Path(__file__).parents[1] / "selfplay" / "prompts" / "testbed"
NUM_TOPICS = 96
NUM_HELDOUT = 64  # of each form
QUESTIONS_PER_TOPIC = 4
ORACLE_FORM = "a+b+c"
NUM_PRETRAINING_STEPS = 1200
# Of a step, beside the responders' and questioners' examples: they are short, and comparing two
# answers is hard to learn.
NUM_JUDGMENTS = 24
NUM_CHALLENGES = 2
RESPONDER_SHARE = 0.6


def build_selfplay(
    output_dir: Path | str,
    *,
    seed: int = 0,
    num_pretraining_steps: int = NUM_PRETRAINING_STEPS,
    show_progress: bool = True,
) -> bool:
    """Build the testbed of self-play in a folder, or leave it if it is there already.

    The same settings give the same bytes on the same machine. Building takes about two minutes.

    Args:
        output_dir: A new or empty folder, or one that holds this testbed.
        seed: Fixes notes, questions, initial weights and the corpus, in 0..2**32-1.
        num_pretraining_steps: At least 1; few steps give a model that plays no role.
        show_progress: Whether to show a progress bar with the pretraining loss.

    Returns:
        Whether the folder held it already.

    Raises:
        InputError: If a number is out of range, or if the folder holds anything else.
    """
    check_numbers(seed, num_pretraining_steps)

    def write(folder: Path) -> Qwen3ForCausalLM:
        _write_data(folder, seed)
        model, tokenizer = pretrain_roles(
            seed=seed, num_steps=num_pretraining_steps, show_progress=show_progress
        )
        model.save_pretrained(folder / "base")
        tokenizer.save_pretrained(folder / "base")
        return model

    return write_folder(Path(output_dir), _settings(seed, num_pretraining_steps), write)


def pretrain_roles(
    *, seed: int, num_steps: int, show_progress: bool = True
) -> tuple[Qwen3ForCausalLM, PreTrainedTokenizerFast]:
    """Train a fresh model on the teacher's work in all roles, as `rl.testbed.model.pretrain`."""
    templates = Templates("testbed")
    r_zero = Templates("r_zero", PROMPTS, R_ZERO_SLOTS)
    return pretrain(
        partial(_draw_work, templates=templates),
        seed=seed,
        num_steps=num_steps,
        others=[
            (partial(draw_judgment, templates=templates), NUM_JUDGMENTS),
            (partial(draw_challenge, templates=r_zero), NUM_CHALLENGES),
        ],
        show_progress=show_progress,
    )


def _draw_work(rng: random.Random, templates: Templates) -> tuple[str, Sequence[Part]]:
    draw_example = draw_responder if rng.random() < RESPONDER_SHARE else draw_questioner
    return draw_example(rng, templates)


def _write_data(folder: Path, seed: int) -> None:
    rng = random.Random(f"self-play {seed}")
    topics = [draw_notes(rng) for _ in range(NUM_TOPICS)]
    documents = [
        {"text": text, "key": f"notes {number}"}
        for number, notes in enumerate(topics)
        for text in notes.texts
    ]
    write_json_lines(folder / "documents.jsonl", documents)
    asked = {
        "oracle": [ORACLE_FORM] * QUESTIONS_PER_TOPIC,
        "mix": [*HABIT],
    }
    (folder / "questions").mkdir()
    for name, forms in asked.items():
        pairs = [(notes, form) for notes in topics for form in forms]
        write_json_lines(folder / "questions" / f"{name}.jsonl", problems(pairs, rng))
    forms = [form for _ in range(NUM_HELDOUT) for form in HELDOUT_FORMS.values()]
    heldout = problems([(draw_notes(rng), form) for form in forms], rng)
    write_json_lines(folder / "heldout.jsonl", heldout)
    (folder / "heldout").mkdir()
    for place, name in enumerate(HELDOUT_FORMS):
        rows = heldout[place :: len(HELDOUT_FORMS)]
        write_json_lines(folder / "heldout" / f"{name}.jsonl", rows)


def problems(pairs: Iterable[tuple[Notes, str]], rng: random.Random) -> list[dict[str, str]]:
    """Ask a question of a form about some notes, for each pair, and label it."""
    templates = Templates("testbed")
    rows = []
    for notes, form in pairs:
        question = draw_question(form, notes.values, rng)
        shown = templates.documents(list(notes.texts))
        prompt = templates.fill("responder", {"documents": shown, "question": question})
        rows.append({"prompt": prompt, "label": gold_answer(question, notes.values)})
    return rows


def _settings(seed: int, num_pretraining_steps: int) -> dict[str, Any]:
    """Collect what decides the testbed's content, as JSON gives it back."""
    constants = {
        name.lower(): list(value) if isinstance(value, range) else value
        for name, value in vars(selfplay_teacher).items()
        if name.isupper() and name != "BOXED"
    }
    settings = {
        "kind": "self-play",
        "seed": seed,
        "num_pretraining_steps": num_pretraining_steps,
        "num_topics": NUM_TOPICS,
        "num_heldout": NUM_HELDOUT,
        "questions_per_topic": QUESTIONS_PER_TOPIC,
        "oracle_form": ORACLE_FORM,
        **constants,
    }
    return json.loads(json.dumps(settings))
