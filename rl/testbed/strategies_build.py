"""The testbed of strategies on disk: a base model that mostly guesses, and its problems.

    DIR/model/           Qwen3 causal LM (0.66M parameters, float32) and its tokenizer
    DIR/train.jsonl      one {"prompt"} per line, no label
    DIR/labelled.jsonl   the same prompts with labels: for audits and supervised controls
    DIR/heldout.jsonl    what a run is evaluated on: `NUM_HELDOUT` problems of each of the first
                         three sets below, {"prompt", "label"}
    DIR/heldout/<set>.jsonl   {"prompt", "label"}
    DIR/testbed.json     settings and library versions; its presence says that it is finished
    DIR/wordings.jsonl   labelled.jsonl with other wordings of each problem in a column, for views;
                         made of the files above, also where the testbed is there already; none of
                         those wordings is held out, but the corpus may hold one
    DIR/train/<part>.jsonl    train.jsonl by wording (compact, spaced, listed), and again by kind
                         (plain, dips, peaks), for streams of data sets; made likewise

The sets (`HELDOUT`): three wordings as in training; `spoken`, a wording never trained on; `long`,
five terms where training has three and four; `dips` and `peaks`, which one way alone solves well.
No prompt occurs twice, be it in one file, in two files or in the model's corpus.
`rl.testbed.strategies` says what the problems are and how the teacher answers them.
"""

import json
import random
from collections.abc import Container, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from transformers import Qwen3ForCausalLM

from rl.data.json_lines import write_json_lines
from rl.testbed import strategies
from rl.testbed.folder import check_numbers, write_folder
from rl.testbed.model import pretrain
from rl.testbed.parts import Part
from rl.testbed.strategies import WORK_PROB, Kind, Wording, draw_terms, write_prompt, write_solution
from rl.testbed.strategies_parts import PARTS_FOLDER, write_parts
from rl.testbed.strategies_wordings import WORDINGS_FILE, write_wordings

NUM_TRAIN = 320
NUM_HELDOUT = 96
NUM_PRETRAINING_STEPS = 3000
NUM_LAYERS = 3
# Shares of the corpus and of the training prompts; a sum that dips or peaks teaches one way only.
KINDS: tuple[Kind, ...] = ("plain", "plain", "dips", "peaks")
PEAK_LENGTH = 4  # three positive digits are needed to rise over 20
CORPUS_LENGTHS = {"plain": (2, 3, 3, 4, 4, 5), "dips": (3, 4), "peaks": (PEAK_LENGTH,)}
TRAIN_WORDINGS: dict[Wording, float] = {"compact": 0.5, "spaced": 0.3, "listed": 0.2}


@dataclass(frozen=True)
class ProblemSet:
    """A kind of problems.

    Attributes:
        wordings: How they are asked, in turn.
        lengths: Numbers of terms, in turn, of sums that do not peak; those have four.
        kinds: Which ways solve them, in turn.
    """

    wordings: tuple[Wording, ...]
    lengths: tuple[int, ...] = (3, 4)
    kinds: tuple[Kind, ...] = ("plain",)


HELDOUT = {
    "compact": ProblemSet(("compact",)),
    "spaced": ProblemSet(("spaced",)),
    "listed": ProblemSet(("listed",)),
    "spoken": ProblemSet(("spoken",)),
    "long": ProblemSet(("compact", "spaced", "listed"), lengths=(5,)),
    "dips": ProblemSet(("compact",), kinds=("dips",)),
    "peaks": ProblemSet(("compact",), kinds=("peaks",)),
}


def build_strategies(
    output_dir: Path | str,
    *,
    seed: int = 0,
    num_pretraining_steps: int = NUM_PRETRAINING_STEPS,
    show_progress: bool = True,
) -> bool:
    """Build the testbed of strategies in a folder, or leave it if it is there already.

    The same settings give the same bytes on the same machine. Building takes about three minutes.

    Args:
        output_dir: A new or empty folder, or one that holds this testbed.
        seed: Fixes the problems, the initial weights and the corpus, in 0..2**32-1.
        num_pretraining_steps: At least 1; few steps give a model that cannot calculate.
        show_progress: Whether to show a progress bar with the pretraining loss.

    Returns:
        Whether the folder held it already.

    Raises:
        InputError: If a number is out of range, or if the folder holds anything else.
    """
    check_numbers(seed, num_pretraining_steps)

    def write(folder: Path) -> Qwen3ForCausalLM:
        model, tokenizer = pretrain(
            partial(_draw_example, taken=_write_problems(folder, seed)),
            seed=seed,
            num_steps=num_pretraining_steps,
            num_layers=NUM_LAYERS,
            show_progress=show_progress,
        )
        model.save_pretrained(folder / "model")
        tokenizer.save_pretrained(folder / "model")
        return model

    output_dir = Path(output_dir)
    was_there = write_folder(output_dir, _settings(seed, num_pretraining_steps), write)
    if not (output_dir / WORDINGS_FILE).exists():
        write_wordings(output_dir, TRAIN_WORDINGS)
    if not (output_dir / PARTS_FOLDER).exists():
        write_parts(output_dir)
    return was_there


def _write_problems(folder: Path, seed: int) -> set[str]:
    """Write the problems and return all their prompts."""
    rng = random.Random(f"strategies {seed}")
    taken: set[str] = set()
    heldout = {name: _draw_rows(rng, NUM_HELDOUT, kind, taken) for name, kind in HELDOUT.items()}
    train: list[dict[str, str]] = []
    for wording, share in TRAIN_WORDINGS.items():
        kind = ProblemSet((wording,), kinds=KINDS)
        train += _draw_rows(rng, round(share * NUM_TRAIN), kind, taken)
    rng.shuffle(train)
    (folder / "heldout").mkdir()
    for name, rows in heldout.items():
        write_json_lines(folder / "heldout" / f"{name}.jsonl", rows)
    as_trained = [row for name in TRAIN_WORDINGS for row in heldout[name]]
    write_json_lines(folder / "heldout.jsonl", as_trained)
    write_json_lines(folder / "labelled.jsonl", train)
    write_json_lines(folder / "train.jsonl", [{"prompt": row["prompt"]} for row in train])
    return taken


def _draw_rows(
    rng: random.Random, num_rows: int, problems: ProblemSet, taken: set[str]
) -> list[dict[str, str]]:
    """Draw problems that are not in `taken`, and add them to it."""
    rows = []
    while len(rows) < num_rows:
        place = len(rows)
        kind = _in_turn(problems.kinds, place // len(problems.lengths))
        length = _in_turn(problems.lengths, place) if kind != "peaks" else PEAK_LENGTH
        wording = _in_turn(problems.wordings, place)
        terms = draw_terms(rng, length, kind)
        prompt = write_prompt(terms, wording)
        if prompt not in taken:
            taken.add(prompt)
            rows.append({"prompt": prompt, "label": str(sum(terms))})
    return rows


def _in_turn(values: Sequence[Any], place: int) -> Any:
    return values[place % len(values)]


def _draw_example(rng: random.Random, taken: Container[str]) -> tuple[str, list[Part]]:
    """Draw a prompt of the corpus with the teacher's solution."""
    while True:
        kind = rng.choice(KINDS)
        num_terms = rng.choice(CORPUS_LENGTHS[kind])
        terms = draw_terms(rng, num_terms, kind)
        wording = rng.choice(list(WORK_PROB))
        prompt = write_prompt(terms, wording)
        if prompt not in taken:
            return prompt, write_solution(terms, wording, rng)


def _settings(seed: int, num_pretraining_steps: int) -> dict[str, Any]:
    """Collect what decides the testbed's content, as JSON gives it back."""
    constants = {
        name.lower(): value
        for name, value in vars(strategies).items()
        if name.isupper() and name != "BOXED"
    }
    settings = {
        "kind": "strategies",
        "seed": seed,
        "num_pretraining_steps": num_pretraining_steps,
        "num_train": NUM_TRAIN,
        "num_heldout": NUM_HELDOUT,
        "train_wordings": TRAIN_WORDINGS,
        "heldout": {name: asdict(problems) for name, problems in HELDOUT.items()},
        **constants,
    }
    return json.loads(json.dumps(settings))
