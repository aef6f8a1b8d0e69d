"""Bad input to the training script: one line, exit status 2, no model loaded, nothing lost."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from accelerate import Accelerator
from train import print_outcome, print_preview

import rewards
from rl.training.checkpoints import Checkpoints
from rl.training.start import start_run

SCRIPT = str(Path(__file__).parents[2] / "scripts" / "train.py")


@pytest.fixture
def settings(tmp_path, tiny_model_folder):
    train = tmp_path / "train.jsonl"
    train.write_text("".join(json.dumps({"prompt": f"{a}+1=", "n": a}) + "\n" for a in range(8)))
    return {
        "model": tiny_model_folder,
        "dataset": str(train),
        "output_dir": str(tmp_path / "run"),
        "num_prompts": 2,
        "num_generations": 4,
        "per_device_train_batch_size": 4,
        "max_completion_length": 8,
        "gradient_checkpointing": False,
        "max_steps": 1,
    }


@pytest.fixture
def refuse(tmp_path, monkeypatch, capsys):
    """Run the script in this process; return its one line of error."""

    def run(settings, *arguments):
        recipe = tmp_path / "recipe.yaml"
        text = settings if isinstance(settings, str) else yaml.safe_dump(settings)
        recipe.write_text(text)
        monkeypatch.setattr(sys, "argv", [SCRIPT, str(recipe), *arguments])
        # Nothing bad may get as far as a model: loading one would be the bug.
        monkeypatch.setattr("trl.trainer.utils.create_model_from_path", None)
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(SCRIPT, run_name="__main__")
        assert ended.value.code == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
        assert len(lines) == 1
        return lines[0]

    return run


def test_missing_dataset(refuse, settings):
    assert "no_such.jsonl" in refuse({**settings, "dataset": "no_such.jsonl"})


def test_empty_dataset(refuse, settings, tmp_path):
    (tmp_path / "empty.jsonl").touch()
    assert "empty.jsonl" in refuse({**settings, "dataset": str(tmp_path / "empty.jsonl")})


def test_wrong_column(refuse, settings):
    error = refuse({**settings, "prompt_column": "promt"})
    assert "got 'promt'" in error
    assert "Did you mean 'prompt'?" in error


def test_prompt_that_is_no_text(refuse, settings):
    assert "row 0" in refuse({**settings, "prompt_column": "n"})


def test_unknown_recipe_key(refuse, settings):
    error = refuse({**settings, "num_generation": 4})
    assert "got 'num_generation'" in error
    assert "Did you mean 'num_generations'?" in error


@pytest.mark.parametrize(
    ("key", "value"),
    [("num_generations", 8.5), ("learning_rate", "fast"), ("rewards", ["majority_vote"])],
)
def test_wrong_type(refuse, settings, key, value):
    assert f"error: {key}" in refuse({**settings, key: value})


def test_unknown_choice(refuse, settings):
    message = refuse({**settings, "advantage": "normalised"})
    assert "expected one of centered, clipped, disagreement, " in message
    assert "Did you mean 'normalized'?" in message
    assert "'first' or 'random'" in refuse({**settings, "trained_subset": "last"})


def test_unknown_reward(refuse, settings):
    error = refuse({**settings, "rewards": {"majorty_vote": {}}})
    assert "Did you mean 'majority_vote'?" in error


def test_unknown_reward_setting(refuse, settings):
    assert "'tie'" in refuse({**settings, "rewards": {"majority_vote": {"ties": "first"}}})


def test_fewer_votes_than_trained(refuse, settings):
    assert "num_votes: got 2" in refuse({**settings, "num_votes": 2})


def test_group_of_one(refuse, settings):
    assert "num_generations: got 1" in refuse({**settings, "num_generations": 1})


def test_batch_that_does_not_fit(refuse, settings):
    assert "per_device_train_batch_size: got 3" in refuse(
        {**settings, "per_device_train_batch_size": 3}
    )


def test_more_prompts_than_there_are(refuse, settings):
    assert "num_prompts: got 9" in refuse({**settings, "num_prompts": 9})


def test_prompts_longer_than_the_context(refuse, settings, tmp_path):
    # The tiny model has 128 positions; 8 of them are for the completion.
    long = tmp_path / "long.jsonl"
    long.write_text('{"prompt": "1="}\n' + json.dumps({"prompt": "1+" * 61}) + "\n")
    refusing = {**settings, "dataset": str(long), "overlong_prompts": "refuse"}
    assert "prompt in row 1: got 122 tokens, expected at most 120" in refuse(refusing)
    long.write_text(json.dumps({"prompt": "1+" * 61}) + "\n")
    error = refuse({**settings, "dataset": str(long)})
    assert "prompts: got 1 of 122 tokens or more, expected some of at most 120" in error


def test_output_dir_of_another_run(refuse, settings, tmp_path):
    (tmp_path / "run").mkdir()
    config = tmp_path / "run" / "config.yaml"
    config.write_text("settings: {}\n")
    assert "holds another run" in refuse(settings)
    assert config.read_text() == "settings: {}\n"


def test_output_dir_that_is_a_file(refuse, settings, tmp_path):
    (tmp_path / "taken").write_text("mine")
    assert "can be written" in refuse({**settings, "output_dir": str(tmp_path / "taken" / "run")})
    assert (tmp_path / "taken").read_text() == "mine"


def test_missing_model(refuse, settings, tmp_path):
    assert "model: got" in refuse({**settings, "model": str(tmp_path / "nowhere")})


def test_vllm_that_is_not_installed(refuse, settings, monkeypatch):
    monkeypatch.setattr("rl.rollouts.vllm_engine.find_spec", lambda name: None)
    assert "vllm: got no installation" in refuse({**settings, "use_vllm": True})


def test_resume_without_a_checkpoint(refuse, settings):
    assert "no checkpoint-N folder" in refuse(settings, "--resume_from_checkpoint", "true")


@pytest.mark.parametrize("requested", [["true"], ["auto"], [], None])
def test_corrupted_checkpoint(refuse, settings, tmp_path, requested):
    with Checkpoints(tmp_path / "run", Accelerator(cpu=True), None).writing(1) as folder:
        (folder / "model.safetensors").write_text("weights")
    checkpoint = tmp_path / "run" / "checkpoint-1"
    (checkpoint / "model.safetensors").write_text("half")
    given = [str(checkpoint)] if requested is None else requested
    error = refuse(settings, "--resume_from_checkpoint", *given)
    assert "checkpoint-1, whose model.safetensors has 4 bytes instead of 7" in error


def test_settings_that_are_meant_to_change_have_names(refuse, settings):
    error = refuse(settings, "--accept_changes", "[learning_rat]")
    assert "accept_changes: got 'learning_rat'" in error
    assert "Did you mean 'learning_rate'?" in error


def test_checkpoints_are_not_uploaded_while_they_are_renamed(refuse, settings):
    pushing = {**settings, "push_to_hub": True, "hub_strategy": "checkpoint"}
    assert "hub_strategy: got" in refuse(pushing)


def test_recipe_that_is_no_yaml(refuse):
    assert "invalid YAML" in refuse("model: [unclosed\n")


@pytest.mark.medium
def test_missing_recipe():
    result = subprocess.run(
        [sys.executable, SCRIPT, "no_such.yaml"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert result.stderr.strip().splitlines()[-1] == (
        "error: recipe: got no_such.yaml, expected a YAML file. Check the path."
    )


@pytest.fixture
def selfplay_settings(settings, tmp_path):
    """Three notes; the tiny model has a context of 128 tokens, one for each character."""
    folder = tmp_path / "notes"
    folder.mkdir()
    for number, length in enumerate((20, 40, 400)):
        (folder / f"{number}.txt").write_text(f"{number}+" * (length // 2))
    (folder / "short.txt").write_text("1+1")
    documents = {"min_characters": 10, "duplicate_threshold": None, "embedder": None}
    game = {
        "game": "spell",
        "documents": str(folder),
        "document_settings": documents,
        "tasks": ["testbed"],
        "chat": False,
        "num_questions": 1,
        "max_prompt_tokens": 100,
    }
    return {**settings, "dataset": "", "num_prompts": 3, "selfplay": game}


def test_dry_run_tells_of_the_documents(selfplay_settings, tmp_path, monkeypatch, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(selfplay_settings))
    monkeypatch.setattr(sys, "argv", [SCRIPT, str(recipe), "--dry_run"])
    runpy.run_path(SCRIPT, run_name="__main__")
    printed = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "testbed: source 4 documents read, 4 once long ones are cut, 1 too short" in printed
    assert "testbed: shown 3 documents in 1 topics; " in printed
    assert "; 1 over " in printed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_prompt_tokens": 16_384}, "got 16384, expected at most 120, which the model's cont"),
        ({"max_prompt_tokens": 9}, "documents, expected at least the"),
    ],
)
def test_documents_that_do_not_fit(refuse, selfplay_settings, changes, message):
    selfplay_settings["selfplay"] |= changes
    assert message in refuse(selfplay_settings, "--dry_run")


def test_a_mistyped_model_shows_before_documents_are_read(refuse, selfplay_settings):
    selfplay_settings["selfplay"]["documents"] = "/no/such/folder"
    assert "model: got /no/such/model" in refuse({**selfplay_settings, "model": "/no/such/model"})


def test_dry_run_prints_the_geometry_and_writes_nothing(settings, tmp_path, monkeypatch, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(settings))
    monkeypatch.setattr(sys, "argv", [SCRIPT, str(recipe), "--dry_run"])
    runpy.run_path(SCRIPT, run_name="__main__")
    printed = " ".join(capsys.readouterr().out.split())
    # 2 prompts x 4 rollouts in one step, four rows at a time.
    assert "completions trained │ 8" in printed
    assert "gradient accumulation steps │ 2" in printed
    assert not (tmp_path / "run").exists()


def test_a_run_says_what_it_trains(settings, tmp_path, capsys):
    start_run(settings, rewards, dry_run=True, show=print_preview)
    assert capsys.readouterr().out == (
        f"Training {settings['model']} on 8 prompts of {settings['dataset']}; "
        f"files go to {tmp_path / 'run'}\n"
    )


def test_a_run_says_what_came_of_it(capsys):
    before, after, verdict = {"pass@1": 0.25}, {"pass@1": 0.5}, {"verdict": "pass@1 0.500: above."}
    files = "Files: runs/a. One page of them: python scripts/report.py runs/a\n"
    change = "pass@1 0.250 before training, 0.500 after\n"

    def said(**summary):
        print_outcome({"cost": {}, **summary}, "runs/a")
        return capsys.readouterr().out

    assert said() == files
    assert said(after=after) == files
    assert said(before=before, after=after) == change + files
    single = said(before=before, after=after, controls=verdict)
    assert single == f"{change}pass@1 0.500: above.\n{files}"
    # Two benchmarks, one of them prompts without labels, which nothing can be said about.
    several = said(
        before={"a": before, "b": {"majority_ratio": 0.5}},
        after={"a": after, "b": {"majority_ratio": 0.75}},
        controls={"a": verdict},
    )
    assert several == f"a: {change}a: pass@1 0.500: above.\n{files}"
