"""R-Zero: rounds of a scripted policy counted by hand, and a tiny model in the real trainer."""

import json
from functools import partial

import pytest

from rewards import get_game
from rewards.selfplay.questioner import UncertaintyChallenge
from rl.errors import InputError
from rl.selfplay.game import Answered
from rl.selfplay.r_zero import RZero, RZeroSettings
from rl.selfplay.role_prompts import R_ZERO_SLOTS, Templates
from rl.selfplay.run_settings import read_selfplay
from rl.testbed.model import pretrain
from rl.testbed.selfplay import PROMPTS
from rl.testbed.selfplay_teacher import draw_challenge, write_answer
from rl.training.config import LabelFreeConfig
from rl.training.prepare import prepare_run
from rl.training.run import train

QUESTIONS = {  # question -> boxed answers of the solver
    "Add two and two": ["4", "4", "5", "4.0"],  # 3/4
    "Name any prime below nine": ["2", "3", "2", "7"],  # 2/4
    "What is zero": ["0", "0", "0", "0"],  # 4/4
    "How long is a rope": [None, None, None, None],  # 0/4
}


class Sampler:
    def __init__(self, questions=QUESTIONS):
        self.questions = questions

    def __call__(self, requests):
        return [
            [self.answer(request, number) for number in range(request.num_samples)]
            for request in requests
        ]

    def answer(self, request, number):
        if request.role == "challenger":
            questions = [*self.questions, None]
            question = questions[number]
            text = "no idea" if question is None else json.dumps({"question": question})
        else:
            question = request.prompt[0]["content"].partition("\n")[0]
            answer = self.questions[question][number]
            text = "I give up" if answer is None else rf"\boxed{{{answer}}}"
        return Answered(completion=text, num_tokens=len(text), truncated=False)

    def frozen(self, requests):
        return None

    def count_tokens(self, text):
        return len(text)


def make_game(preset="paper", **settings):
    values = {"num_proposals": 5, "num_questions": 2, "group_size": 4, "max_majority_ratio": 0.75}
    return RZero(
        challenge_reward=UncertaintyChallenge(preset=preset, repetition_weight=0.0),
        settings=RZeroSettings(preset=preset, **{**values, **settings}),
    )


def test_a_round():
    round_ = make_game().play(Sampler(), 0)
    challenger = [e for e in round_.episodes if e.request.role == "challenger"]
    # 1 - 2 |p - 1/2| of 3/4, 2/4, 4/4, 0/4, and no problem at all.
    assert [e.reward for e in challenger] == [0.5, 1.0, 0.0, 0.0, 0.0]
    # Mean 0.3, sample deviation sqrt((0.04 + 0.49 + 3 * 0.09) / 4) = 0.4472.
    assert [e.advantage for e in challenger] == pytest.approx(
        [0.4472, 1.5652, -0.6708, -0.6708, -0.6708], abs=1e-4
    )
    solver = [e for e in round_.episodes if e.request.role == "solver"]
    assert len(solver) == 4 * 4
    assert [e.reward for e in solver[:8]] == [1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0]
    # Three of four: (1 - 3/4) / 0.5 and -3/4 / 0.5.
    assert [e.advantage for e in solver[:4]] == pytest.approx([0.5, 0.5, -1.5, 0.5], abs=1e-4)
    assert [e.trained for e in solver] == [True] * 8 + [False] * 8
    assert make_game().max_trained == 5 + 2 * 4
    assert round_.metrics["funnel/parsed"] == 4
    assert round_.metrics["funnel/informative"] == 2
    assert round_.metrics["no_answer_frac"] == 0.25
    assert round_.alarms == []


def test_a_round_of_the_reference_code():
    # 7 is one answer of four, and one of the two that can be read: too rare for the paper's bounds,
    # within the code's. 3 is three of four, and of three.
    questions = {"Pick a side": ["7", None, None, "8"], "Name three": ["3", "3", "3", None]}
    game = make_game("reference_code", num_proposals=3, max_majority_ratio=None)
    round_ = game.play(Sampler(questions), 0)
    challenger = [e for e in round_.episodes if e.request.role == "challenger"]
    # min(p, 1 - p) of 1/4 and 3/4, and no problem at all.
    assert [e.reward for e in challenger] == [0.25, 0.25, -1.0]
    assert [e.trained for e in round_.episodes[3:]] == [True] * 4 + [False] * 4
    paper = make_game(num_proposals=3).play(Sampler(questions), 0)
    assert [e.trained for e in paper.episodes[3:]] == [False] * 4 + [True] * 4
    assert RZeroSettings().informative == (0.3, 0.7)
    assert RZeroSettings(preset="reference_code").informative == (0.3, 0.8)


def test_nothing_to_learn_from():
    round_ = make_game(min_majority_ratio=0.9, max_majority_ratio=0.9).play(Sampler(), 0)
    assert not any(e.trained for e in round_.episodes if e.request.role == "solver")
    assert list(round_.metrics) == list(make_game().play(Sampler(), 0).metrics)
    assert "no problem of 5 was informative" in round_.alarms[0]


def test_bad_settings():
    with pytest.raises(InputError, match="group_size: got 1, expected at least 2"):
        RZeroSettings(group_size=1)
    with pytest.raises(InputError, match="expected min <= max"):
        RZeroSettings(min_majority_ratio=0.8)
    with pytest.raises(InputError, match="preset: got 'code', expected 'paper' or"):
        RZeroSettings(preset="code")


# The real trainer, with a model that was taught to set sums and to solve them.

TEMPLATES = Templates("r_zero", PROMPTS, R_ZERO_SLOTS)


def draw_solution(rng):
    question = f"{rng.randint(1, 9)}+{rng.randint(1, 9)}"
    return TEMPLATES.fill("solver", {"question": question}), write_answer(question, {}, rng)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    model, tokenizer = pretrain(
        draw_solution,
        seed=0,
        num_steps=150,
        others=[(partial(draw_challenge, templates=TEMPLATES), 8)],
        show_progress=False,
    )
    folder = tmp_path_factory.mktemp("r_zero") / "model"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.mark.medium
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
