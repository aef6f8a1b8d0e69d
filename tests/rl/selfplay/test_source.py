"""A real game in a real run: rows, scales of the roles, costs, memory."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from play_round import play

from rewards import get_game
from rl.errors import InputError
from rl.selfplay.game import Request, Round, make_episode
from rl.selfplay.source import seat
from rl.training.config import LabelFreeConfig
from rl.training.prepare import prepare_run
from rl.training.run import build_trainer, train

ROOT = Path(__file__).parents[3]
TORCHRUN = Path(sys.executable).with_name("torchrun")
GAME = f"{Path(__file__).parents[2] / 'end_to_end' / 'first_character_game.py'}:build"


@pytest.fixture
def prepare(tmp_path, tiny_model_folder):
    def prepare(game=None, folder="run", instance=None, **settings):
        selfplay = {"game": GAME, **(game or {})}
        config = LabelFreeConfig(
            **{
                "output_dir": str(tmp_path / folder),
                "model": tiny_model_folder,
                "selfplay": selfplay,
                "num_prompts": 4,
                "num_generations": 8,
                "per_device_train_batch_size": 16,
                "max_completion_length": 6,
                "gradient_checkpointing": False,
                "disable_tqdm": True,
                "max_steps": 4,
                "save_steps": 2,
                **settings,
            }
        )
        return prepare_run(config, {}, game=instance or get_game(GAME, seed=config.seed))

    return prepare


def test_rows_beyond_the_episodes_count_nowhere_and_roles_are_scaled(prepare):
    trainer = build_trainer(prepare({"role_weights": {"asker": 0.5}, "role_mean": "per_role"}))
    kept = dict(vars(trainer.source))
    batch = trainer.next_batch([row for row in trainer.train_dataset for _ in range(8)])
    assert vars(trainer.source) == kept  # what a game remembers is the game's
    # 4 askers and 24 answerers in 32 rows.
    assert batch.rewards.isnan().tolist() == [False] * 28 + [True] * 4
    assert batch.advantages[28:].tolist() == [0.0] * 4
    lines = list(batch.rollout_lines)
    assert [line["role"] for line in lines] == ["asker"] * 4 + ["answerer"] * 24
    num_tokens = {
        role: sum(line["num_tokens"] for line in lines if line["role"] == role)
        for role in ("asker", "answerer")
    }
    total = sum(num_tokens.values())
    for line, row, advantage in zip(lines, batch.rows, batch.advantages, strict=False):
        scale = {"asker": 0.5, "answerer": 1.0}[line["role"]] * total / num_tokens[line["role"]]
        assert advantage.item() == pytest.approx(line["advantage"] * scale, abs=1e-6)
        assert len(row.sample.completion_ids) == line["num_tokens"]
        assert (row.prompt, row.completion) == (line["prompt"], line["completion"])
    # Each of the four questions is a group of six answers, and asked in one of its own.
    assert batch.groups[:28].bincount().tolist() == [1] * 4 + [6] * 4
    assert trainer.to_tensors(batch)["num_items_in_batch"] == total
    trainer.engine.close()


def test_a_resumed_game_goes_on_exactly(prepare, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        train(prepare({"frozen_policy": True}))
    assert "step 3: the third round" in caplog.text
    folder = tmp_path / "run"
    straight = metrics_of(folder)
    assert [line["selfplay/num_rounds"] for line in straight] == [1, 2, 3, 4]
    assert [line["selfplay/num_alarms"] for line in straight] == [0, 0, 1, 0]
    assert straight[0]["selfplay/frozen"] == 1
    assert straight[0]["selfplay/tokens"] == 3
    # 4 askers, 24 answerers and 6 of the frozen policy.
    assert straight[0]["cost/num_sampled_completions"] == 34
    train(prepare({"frozen_policy": True}, resume_from_checkpoint=str(folder / "checkpoint-2")))
    resumed = metrics_of(folder)
    for name in ("selfplay/num_rounds", "grad_norm", "loss", "rewards/asker/mean"):
        assert [line[name] for line in resumed] == [line[name] for line in straight], name


class FrozenGame:
    """Only the frozen policy is asked, and nothing is trained."""

    roles = ("asker",)
    max_trained = 1

    def play(self, sample, step):
        request = Request(key="ask", role="asker", prompt="1+", num_samples=2)
        [answered] = sample.frozen([request])
        episodes = [make_episode(request, i, a) for i, a in enumerate(answered)]
        return Round(episodes=episodes, metrics={}, alarms=[])

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def test_a_round_without_an_episode_of_the_policy_is_survived(prepare, tmp_path):
    train(prepare({"frozen_policy": True}, instance=FrozenGame(), max_steps=1))
    [step] = metrics_of(tmp_path / "run")
    assert step["grad_norm"] == 0
    assert step["cost/num_sampled_completions"] == 2


class PausingGame(FrozenGame):
    """Every second round, from the first on, is empty."""

    def play(self, sample, step):
        if step % 2 == 0:
            return Round(episodes=[], metrics={}, alarms=["no question"])
        request = Request(key="ask", role="asker", prompt="1+", num_samples=1)
        [[answered]] = sample([request])
        episode = make_episode(request, 0, answered, reward=1.0, advantage=1.0)
        return Round(episodes=[episode], metrics={}, alarms=[])


def test_an_empty_round_is_survived(prepare, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        train(prepare(instance=PausingGame(), max_steps=2))
    empty, played = metrics_of(tmp_path / "run")
    assert (empty["grad_norm"], empty["loss"]) == (0, 0)
    assert played["grad_norm"] > 0
    assert [line["selfplay/num_trained"] for line in (empty, played)] == [0, 1]
    assert "step 1: nothing is trained" in caplog.text
    assert "step 2: nothing is trained" not in caplog.text


@pytest.mark.medium
def test_rows_are_the_same_on_three_ranks(tiny_model_folder):
    expected = sorted(row for _, *row in play(tiny_model_folder, GAME, 36))
    assert len(expected) == 35
    script = Path(__file__).parents[1] / "play_round.py"
    result = subprocess.run(
        # Without -P, tests/rl would be found before the package it tests.
        [TORCHRUN, "--standalone", "--nproc_per_node=3", script, tiny_model_folder, GAME, "12"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    found = json.loads(result.stdout.splitlines()[-1])
    assert [rank for rank, *_ in found] == [0] * 12 + [1] * 12 + [2] * 11
    assert sorted(row for _, *row in found) == expected


def test_episodes_are_trained_where_they_were_sampled():
    assert seat([], 2, 1) == [[0], [0]]
    # Rank 0 sampled four of six, one more than its half, which goes to rank 1.
    assert seat([0, 0, 1, 0, 0, 1], 2, 4) == [[0, 1, 3, 6], [2, 5, 4, 6]]
    # Seven on three ranks: three, two and two.
    assert seat([2] * 7, 3, 3) == [[2, 3, 4], [5, 6, 7], [0, 1, 7]]
    with pytest.raises(ValueError, match="trained episodes: got 3, expected at most 2"):
        seat([0, 0, 0], 2, 1)


def metrics_of(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "loss" in line]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"selfplay": {}}, r"selfplay\.game: got none"),
        ({"selfplay": {"game": GAME, "role_mean": "all"}}, "role_mean"),
        ({"selfplay": {"game": GAME, "frozen_policy": 1}}, r"selfplay\.frozen_policy: got 1"),
        ({"selfplay": {"game": GAME, "frozen_questioner": True}}, "beside frozen_questioner"),
        ({"loss_type": "grpo"}, "loss_type: got 'grpo' beside selfplay"),
        ({"dataset": "a.jsonl"}, "dataset: got 'a.jsonl' beside selfplay"),
        ({"num_prompts": 2}, "expected at least the 28 rows that a round may train. Set num_promp"),
    ],
)
def test_settings_that_do_not_go_together(prepare, settings, message):
    with pytest.raises(InputError, match=message):
        prepare(**settings)


def test_unknown_games_are_named():
    with pytest.raises(InputError, match=r"selfplay\.game: got 'spel', .* Did you mean 'spell'"):
        get_game("spel", seed=0)
