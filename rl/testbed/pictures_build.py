"""The testbed of pictures on disk: a tiny vision-language model that mostly guesses, and questions.

    DIR/model/           Idefics3 (0.80M parameters, float32) and its processor
    DIR/train.jsonl      one {"prompt", "images"} per line, no label; images are files' paths, seen
                         from the folder of the file that names them
    DIR/labelled.jsonl   the same questions with labels: for audits and supervised controls
    DIR/heldout.jsonl    what a run is evaluated on: `NUM_HELDOUT` questions of each of the first
                         three sets below, {"prompt", "images", "label"}
    DIR/heldout/<set>.jsonl   {"prompt", "images", "label"}
    DIR/pictures/, DIR/heldout/pictures/   PNG files, 24 x 24 pixels
    DIR/testbed.json     settings and library versions; its presence says that it is finished

The sets (`HELDOUT`): three kinds of questions as in training, counting and comparing about squares
and rings; `triangles`, how many of a shape that no question of training asks about. No question is
asked twice about what shows the same, be it in one file, in two files or in the model's corpus,
whatever the colours.
`rl.testbed.pictures` says what is asked and how the teacher answers.
"""

import json
import random
from collections.abc import Container, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from transformers import Idefics3ForConditionalGeneration

from rl.data.json_lines import write_json_lines
from rl.testbed import pictures
from rl.testbed.folder import check_numbers, write_folder
from rl.testbed.pictures import (
    WORK_PROB,
    Kind,
    Problem,
    Shape,
    answer_of,
    draw_picture,
    draw_problem,
    write_prompt,
)
from rl.testbed.pictures_model import pretrain_on_pictures

# A question's text, and what is in the cells of its pictures.
Shown: TypeAlias = tuple[str, tuple[tuple[str, ...], ...]]

NUM_HELDOUT = 96
NUM_PRETRAINING_STEPS = 2000
# How many questions of each kind are trained on, and the shapes they ask about.
TRAIN: Mapping[Kind, int] = {"counting": 128, "digits": 96, "comparing": 96}
TRAIN_SHAPES: tuple[Shape, ...] = ("square", "ring")
HELDOUT: Mapping[str, tuple[Kind, tuple[Shape, ...]]] = {
    "counting": ("counting", TRAIN_SHAPES),
    "digits": ("digits", TRAIN_SHAPES),
    "comparing": ("comparing", TRAIN_SHAPES),
    "triangles": ("counting", ("triangle",)),
}


def build_pictures(
    output_dir: Path | str,
    *,
    seed: int = 0,
    num_pretraining_steps: int = NUM_PRETRAINING_STEPS,
    show_progress: bool = True,
) -> bool:
    """Build the testbed of pictures in a folder, or leave it if it is there already.

    The same settings give the same bytes on the same machine. Building takes three to four minutes.

    Args:
        output_dir: A new or empty folder, or one that holds this testbed.
        seed: Fixes the questions, the initial weights and the corpus, in 0..2**32-1.
        num_pretraining_steps: At least 1; few steps give a model that cannot read.
        show_progress: Whether to show a progress bar with the pretraining loss.

    Returns:
        Whether the folder held it already.

    Raises:
        InputError: If a number is out of range, or if the folder holds anything else.
    """
    check_numbers(seed, num_pretraining_steps)

    def write(folder: Path) -> Idefics3ForConditionalGeneration:
        model, processor = pretrain_on_pictures(
            partial(_draw_example, taken=_write_problems(folder, seed)),
            seed=seed,
            num_steps=num_pretraining_steps,
            show_progress=show_progress,
        )
        model.save_pretrained(folder / "model")
        processor.save_pretrained(folder / "model")
        return model

    return write_folder(Path(output_dir), _settings(seed, num_pretraining_steps), write)


def _write_problems(folder: Path, seed: int) -> set[Shown]:
    """Write the questions and their pictures; return what was asked about what."""
    rng = random.Random(f"pictures {seed}")
    taken: set[Shown] = set()
    heldout = {
        name: [_draw_new(rng, kind, shapes, taken) for _ in range(NUM_HELDOUT)]
        for name, (kind, shapes) in HELDOUT.items()
    }
    train = [
        _draw_new(rng, kind, TRAIN_SHAPES, taken)
        for kind, number in TRAIN.items()
        for _ in range(number)
    ]
    rng.shuffle(train)
    heldout_rows = {
        name: _draw_rows(problems, folder / "heldout", name) for name, problems in heldout.items()
    }
    for name, rows in heldout_rows.items():
        write_json_lines(folder / "heldout" / f"{name}.jsonl", rows)
    as_trained = [
        row | {"images": [f"heldout/{path}" for path in row["images"]]}
        for kind in TRAIN
        for row in heldout_rows[kind]
    ]
    write_json_lines(folder / "heldout.jsonl", as_trained)
    labelled = _draw_rows(train, folder, "train")
    write_json_lines(folder / "labelled.jsonl", labelled)
    unlabelled = [{"prompt": row["prompt"], "images": row["images"]} for row in labelled]
    write_json_lines(folder / "train.jsonl", unlabelled)
    return taken


def _draw_rows(problems: Sequence[Problem], folder: Path, name: str) -> list[dict[str, Any]]:
    """Write the pictures of questions below a folder, and return the rows that name them."""
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    rows = []
    for number, problem in enumerate(problems):
        paths = [f"pictures/{name}_{number:03}_{i}.png" for i in range(len(problem.pictures))]
        for path, picture in zip(paths, problem.pictures, strict=True):
            draw_picture(picture).save(folder / path)
        prompt = write_prompt(problem.kind, problem.shape)
        rows.append({"prompt": prompt, "images": paths, "label": str(answer_of(problem))})
    return rows


def _shown(problem: Problem) -> Shown:
    """Return what is asked about what is shown; colours and places within cells do not count."""
    marks = tuple(picture.marks for picture in problem.pictures)
    return write_prompt(problem.kind, problem.shape), marks


def _draw_new(
    rng: random.Random, kind: Kind, shapes: tuple[Shape, ...], taken: set[Shown]
) -> Problem:
    """Draw a question that is not in `taken`, and add it."""
    while _shown(problem := draw_problem(rng, kind, shapes)) in taken:
        pass
    taken.add(_shown(problem))
    return problem


def _draw_example(rng: random.Random, taken: Container[Shown]) -> Problem:
    """Draw a question of the corpus."""
    while _shown(problem := draw_problem(rng, rng.choice(list(WORK_PROB)))) in taken:
        pass
    return problem


def _settings(seed: int, num_pretraining_steps: int) -> dict[str, Any]:
    """Collect what decides the testbed's content, as JSON gives it back."""
    constants = {
        name.lower(): {key: _plain(part) for key, part in value.items()}
        if isinstance(value, dict)
        else _plain(value)
        for name, value in vars(pictures).items()
        if name.isupper() and name != "BOXED"
    }
    settings = {
        "kind": "pictures",
        "seed": seed,
        "num_pretraining_steps": num_pretraining_steps,
        "num_heldout": NUM_HELDOUT,
        "train": TRAIN,
        "train_shapes": TRAIN_SHAPES,
        "heldout": HELDOUT,
        **constants,
    }
    return json.loads(json.dumps(settings))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, range) else value
