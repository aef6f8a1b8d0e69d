"""The card of a run: from files written by hand, and of a real run that is pushed to a hub."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard
from local_server import Handler, serving

from rl.training.files import RunFiles
from rl.training.model_card import model_card, sparkline, write_model_card
from rl.training.recipe import make_config

ROOT = Path(__file__).parents[3]
CONTROLS = {
    "differences": {"greedy": {"difference": 0.2, "ci_low": 0.1, "ci_high": 0.3}},
    "verdict": "pass@1 0.800: above the base's greedy (0.600).",
}


@pytest.fixture
def run_folder(tmp_path):
    """A run's folder as its files say it, with more settings if asked for."""

    def write(summary=None, metrics=(), **settings):
        given = {"model": "owner/base", "dataset": "owner/questions", "num_prompts": 8}
        config = make_config({**given, "output_dir": str(tmp_path / "run"), **settings})
        RunFiles(tmp_path / "run").write_config(config)
        folder = tmp_path / "run"
        if summary:
            (folder / "summary.json").write_text(json.dumps(summary))
        lines = "".join(json.dumps(line) + "\n" for line in metrics)
        (folder / "metrics.jsonl").write_text(lines)
        return folder

    return write


def test_a_card_says_what_was_trained_how_and_what_came_of_it(run_folder):
    summary = {
        "before": {"pass@1": 0.5, "majority_ratio": 0.4},
        "after": {"pass@1": 0.8, "majority_ratio": 0.9},
        "controls": CONTROLS,
        "cost": {"seconds": 65.4, "optimizer_steps": 3, "num_sampled_tokens": 12345},
    }
    metrics = [{"step": i, "eval/pass@1": v, "reward": None} for i, v in enumerate((0.5, 0.8))]
    folder = run_folder(summary, metrics, rewards={"majority_vote": {}}, learning_rate=3e-5)
    write_model_card(folder)
    card = (folder / "README.md").read_text()
    data = ModelCard(card).data.to_dict()
    assert (data["base_model"], data["datasets"]) == ("owner/base", ["owner/questions"])
    assert data["library_name"] == "transformers"
    assert {"label-free-rl", "trl", "grpo", "majority_vote"} <= set(data["tags"])
    for text in (
        "`owner/base`, trained without labels on owner/questions with majority_vote",
        CONTROLS["verdict"],
        "| after less the base's greedy | +0.200 (+0.100 to +0.300) |",
        "| pass@1 | 0.500 | 0.800 |",
        "| pass@1 | 0.500 | ▁█ | 0.800 |",
        "| seconds | 65 |",
        "| num sampled tokens | 12,345 |",
        f'AutoModelForCausalLM.from_pretrained("{folder}")',
    ):
        assert text in card
    assert "None" not in card
    recipe = yaml.safe_load(card.partition("```yaml\n")[2].partition("```")[0])
    assert recipe["learning_rate"] == 3e-5
    assert not {"output_dir", "bf16", "hub_token", "gradient_accumulation_steps"} & set(recipe)
    assert make_config(recipe)  # it is one


def test_a_run_without_reward_is_named_by_its_loss_terms(run_folder):
    folder = run_folder(rewards={}, loss_terms={"self_confidence": {}})
    write_model_card(folder)
    assert "on owner/questions with self_confidence" in (folder / "README.md").read_text()


def test_a_card_of_a_run_that_has_not_ended_says_so(run_folder):
    card = model_card(run_folder(lora={"r": 4}, supervised=True), "owner/name")
    assert "Not measured" in card
    assert "The run has not ended." in card
    assert "No curve was logged." in card
    assert "trained with labels (a supervised control)" in card
    assert 'AutoPeftModelForCausalLM.from_pretrained("owner/name")' in card
    assert ModelCard(card).data.library_name == "peft"


def test_local_paths_are_no_hub_ids(run_folder, tmp_path):
    folder = run_folder(model=str(tmp_path), dataset="data/questions.jsonl")
    data = ModelCard(model_card(folder, "x")).data.to_dict()
    assert not {"base_model", "datasets"} & set(data)


def test_the_best_policy_has_a_card_of_its_own(run_folder):
    folder = run_folder()
    (folder / "best").mkdir()
    best = {"step": 7, "metric": "majority_ratio", "value": 0.75, "label_free": True}
    (folder / "best.json").write_text(json.dumps(best))
    write_model_card(folder)
    card = (folder / "best" / "README.md").read_text()
    assert "the policy after step 7, the one with the highest majority_ratio, 0.750" in card
    assert "no label was needed" in card
    assert f'from_pretrained("{folder / "best"}")' in card


def test_a_folder_without_a_run_gets_no_card(tmp_path):
    write_model_card(tmp_path)
    assert [*tmp_path.iterdir()] == []


def test_many_points_are_averaged():
    # 48 values, pairs (0, 1), (2, 3), ...: 24 means from 0.5 to 46.5, in eight steps of three.
    assert sparkline([float(i) for i in range(48)])[:5] == "▁▁▂▂▂"
    assert len(sparkline([0.0, 1.0] * 100)) == 24
    assert sparkline([2.0]) == "▁"


# A hub that takes one model, as far as the library asks it.


class Hub(Handler):
    """Keeps what is committed; `.gitignore` decides what is, as on the real hub."""

    files = {}  # noqa: RUF012
    commits = []  # noqa: RUF012

    def do_GET(self):
        self.reply({"id": "me/tiny", "sha": "a" * 40, "siblings": []})

    def do_POST(self):
        body = self.body()
        if self.path == "/api/repos/create":
            self.reply(
                {"url": f"http://{self.headers['Host']}/me/tiny", "id": "me/tiny", "name": "tiny"}
            )
        elif "/preupload/" in self.path:
            asked = json.loads(body)
            ignored = tuple(asked.get("gitIgnore", "").split())
            self.reply(
                {
                    "files": [
                        {
                            "path": one["path"],
                            "uploadMode": "regular",
                            "shouldIgnore": bool(ignored) and one["path"].startswith(ignored),
                        }
                        for one in asked["files"]
                    ]
                }
            )
        elif "/commit/" in self.path:
            lines = [json.loads(line) for line in body.splitlines()]
            for line in lines:
                if line["key"] == "file":
                    content = base64.b64decode(line["value"]["content"])
                    self.files[line["value"]["path"]] = content
                elif line["key"] == "header":
                    self.commits.append(line["value"]["summary"])
            url = f"http://{self.headers['Host']}/me/tiny/commit/{'a' * 40}"
            self.reply({"success": True, "commitOid": "a" * 40, "commitUrl": url})
        else:
            self.reply({"errors": [], "warnings": []})  # the check of a card's metadata


@pytest.mark.medium
def test_push_to_hub_uploads_the_model_with_its_card_and_no_rollouts(tmp_path, tiny_model_folder):
    questions = tmp_path / "questions.jsonl"
    questions.write_text("".join(json.dumps({"prompt": f"{i}+{i}="}) + "\n" for i in range(16)))
    settings = {
        "model": tiny_model_folder,
        "dataset": str(questions),
        "num_prompts": 4,
        "num_generations": 2,
        "max_completion_length": 4,
        "max_steps": 1,
        "output_dir": str(tmp_path / "run"),
        "push_to_hub": True,
        "hub_model_id": "me/tiny",
    }
    code = f"import rewards; from rl import start_run; start_run({settings!r}, rewards)"
    environment = {
        "HF_HOME": str(tmp_path / "home"),
        "HF_TOKEN": "hf_none",
        "HF_HUB_DISABLE_XET": "1",
        "PYTHONPATH": str(ROOT),
    }
    with serving(Hub) as url:
        result = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={**os.environ, **environment, "HF_ENDPOINT": url},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert result.returncode == 0, result.stderr[-3000:]
    assert Hub.commits[-1] == "End of training"
    assert {"model.safetensors", "config.json", "tokenizer.json", "README.md"} <= set(Hub.files)
    assert not [path for path in Hub.files if path.startswith(("rollouts/", "checkpoint-"))]
    card = Hub.files["README.md"].decode()
    assert card == (tmp_path / "run" / "README.md").read_text()
    assert 'AutoModelForCausalLM.from_pretrained("me/tiny")' in card
    assert "| optimizer steps | 1 |" in card
    assert "hf_none" not in "".join(map(repr, Hub.files.values()))
