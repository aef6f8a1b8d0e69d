"""R-Zero in the real trainer, with a tiny model that was taught to set sums and to solve them."""

import json
import random

import pytest
import torch

from rewards import get_game
from rl.selfplay.role_prompts import R_ZERO_SLOTS, Templates
from rl.selfplay.run_settings import read_selfplay
from rl.testbed.model import make_model, make_tokenizer
from rl.testbed.selfplay import PROMPTS, transcript_loss
from rl.testbed.selfplay_teacher import draw_challenge, write_answer
from rl.training.config import LabelFreeConfig
from rl.training.prepare import prepare_run
from rl.training.run import train

NUM_STEPS = 150
TEMPLATES = Templates("r_zero", PROMPTS, R_ZERO_SLOTS)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    tokenizer = make_tokenizer()
    rng = random.Random(0)
    torch.manual_seed(0)
    model = make_model(tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(NUM_STEPS):
        texts = [draw_challenge(rng, TEMPLATES) for _ in range(8)]
        for _ in range(24):
            question = f"{rng.randint(1, 9)}+{rng.randint(1, 9)}"
            prompt = TEMPLATES.fill("solver", {"question": question})
            texts.append((prompt, write_answer(question, {}, rng)))
        transcript_loss(model, tokenizer, texts).backward()
        optimizer.step()
        optimizer.zero_grad()
    folder = tmp_path_factory.mktemp("r_zero") / "model"
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def test_challenger_and_solver_are_trained(model_folder, tmp_path):
    selfplay = {
        "game": "r_zero",
        "prompts": str(PROMPTS),
        "chat": False,
        "num_proposals": 16,
        "num_questions": 8,
        "group_size": 8,
        "max_majority_ratio": 0.9,
    }
    config = LabelFreeConfig(
        output_dir=str(tmp_path / "run"),
        model=model_folder,
        selfplay=selfplay,
        num_prompts=10,
        num_generations=8,
        per_device_train_batch_size=80,
        max_completion_length=32,
        gradient_checkpointing=False,
        disable_tqdm=True,
        learning_rate=1e-4,
        max_steps=3,
        save_strategy="no",
    )
    settings = read_selfplay(config.selfplay)
    game = get_game(settings.game, seed=config.seed, **settings.game_settings)
    train(prepare_run(config, {}, game=game))
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    steps = [line for line in map(json.loads, lines) if "loss" in line]
    assert len(steps) == 3
    assert all(line["selfplay/funnel/parsed"] > 0 for line in steps)
    assert all(line["selfplay/trained/challenger"] == 16 for line in steps)
    assert sum(line["selfplay/trained/solver"] for line in steps) > 0
    assert all(line["grad_norm"] > 0 for line in steps)
