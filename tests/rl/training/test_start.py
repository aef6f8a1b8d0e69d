"""A run started from a dictionary, as a library's user does."""

import json

import pytest

import rewards
from rl import versions
from rl.errors import InputError
from rl.training.start import start_run


@pytest.fixture
def settings(tmp_path, tiny_model_folder):
    questions = tmp_path / "questions.jsonl"
    questions.write_text("".join(json.dumps({"prompt": f"{a}+1="}) + "\n" for a in range(4)))
    (tmp_path / "mine.py").write_text(
        "def shorter(group, scale=1.0):\n"
        "    return [-scale * rollout.num_tokens for rollout in group.rollouts]\n"
    )
    return {
        "model": tiny_model_folder,
        "dataset": str(questions),
        "output_dir": str(tmp_path / "run"),
        "rewards": {"majority_vote": {}, f"{tmp_path}/mine.py:shorter": {"weight": 0.5}},
        "num_prompts": 2,
        "num_generations": 4,
        "per_device_train_batch_size": 4,
        "max_completion_length": 4,
        "gradient_checkpointing": False,
        "disable_tqdm": True,
        "max_steps": 1,
    }


def test_a_dictionary_is_enough_to_train(settings, tmp_path):
    shown = []
    assert start_run(settings, rewards, dry_run=True, show=shown.append) == {}
    assert not (tmp_path / "run").exists()
    assert [*shown[0].reward_weights.values()] == [1.0, 0.5]
    summary = start_run(settings, rewards)
    assert summary["cost"]["optimizer_steps"] == 1
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["cost"] == summary["cost"]
    assert (tmp_path / "run" / "config.json").is_file()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"rewards": {"random": {"weight": "x"}}},
            r"^rewards\.random\.weight: got 'x', expected a",
        ),
        ({"rewards": {"random": {"weight": True}}}, r"^rewards\.random\.weight: got True, expect"),
        ({"rewards": {"majority_vote": {"tie": 3}}}, r"^rewards\.majority_vote\.tie: got 3, exp"),
        ({"rewards": {"guarded_vote": {"lambda1": "x"}}}, r"^rewards\.guarded_vote\.lambda1: got"),
        (
            {"token_selector": {"entropy_band": {"low_weight": "x"}}},
            r"^token_selector\.entropy_band\.low_weight: got 'x', expected a valid number",
        ),
        ({"selfplay": {"game": "spell"}, "dataset": ""}, r"^selfplay\.documents: got none, expec"),
        (
            {"selfplay": {"game": "spell", "documents": "d", "tasks": "qa"}, "dataset": ""},
            r"^selfplay\.tasks: got 'qa', expected a valid list or a valid dictionary\. Change",
        ),
    ],
)
def test_what_is_wrong_shows_before_a_model_is_loaded(settings, changes, message):
    with pytest.raises(InputError, match=message):
        start_run(settings | changes, rewards, dry_run=True)


def test_another_trl_is_refused_before_anything_else(monkeypatch):
    monkeypatch.setattr(versions, "version", lambda name: "9.9.9")
    with pytest.raises(InputError, match=r"trl: got version 9\.9\.9, expected"):
        start_run({"no": "setting"}, rewards)
