"""All that is checked and loaded before the model, with a real model folder and real files."""

import json
from pathlib import Path

import pytest
from accelerate import Accelerator

from rewards import get_reward
from rl.errors import InputError
from rl.plugins import allow_code
from rl.training.checkpoints import Checkpoints
from rl.training.prepare import prepare_run
from rl.training.recipe import make_config

ROWS = [{"prompt": f"{i}+1=", "label": str(i + 1)} for i in range(5)]
CONTEXT = 128  # max_position_embeddings of the tiny model
REWARDS = {"a": (len, 1.0), "b": (max, 0.5)}


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def settings(tmp_path, tiny_model_folder):
    return {
        "model": tiny_model_folder,
        "dataset": write_rows(tmp_path / "train.jsonl", ROWS),
        "output_dir": str(tmp_path / "run"),
        "max_completion_length": 16,
        "num_generations": 4,
        "num_prompts": 2,
    }


def prepare(settings, rewards=None, **changes):
    dry_run = changes.pop("dry_run", False)
    return prepare_run(make_config({**settings, **changes}), rewards or REWARDS, dry_run=dry_run)


class SeesLabels:
    sees_labels = True

    def set_labels(self, labels):
        self.labels = labels


@pytest.mark.parametrize("name", ["model", "dataset"])
def test_model_and_dataset_are_needed(settings, name):
    del settings[name]
    with pytest.raises(InputError, match=f"{name}: got none, expected a value"):
        prepare(settings)


def test_what_a_run_holds(settings):
    run = prepare(settings)
    assert run.rewards == {"a": len, "b": max}
    assert run.reward_weights == {"a": 1.0, "b": 0.5}
    assert run.prompts["prompt"][:2] == ["0+1=", "1+1="]
    assert run.prompts["rendered_prompt"][:] == run.prompts["prompt"][:]
    assert run.tokenizer.padding_side == "left"
    assert run.checkpoint is None
    assert run.benchmarks == {}
    assert run.run_files.output_dir.is_dir()


def test_labels_are_split_off(settings):
    assert prepare(settings).labels is None
    run = prepare(settings, label_column="label", dry_run=True)
    assert run.labels == {row: str(row + 1) for row in range(5)}
    assert set(run.prompts.column_names) == {"prompt", "row", "prompt_id", "rendered_prompt"}


# A supervised control says so, and gets what it asked for.


def test_a_reward_that_sees_labels_is_refused(settings):
    rewards = {"a": (len, 1.0), "cheat": (SeesLabels(), 1.0)}
    with pytest.raises(InputError, match="rewards: got 'cheat', which sees labels"):
        prepare(settings, rewards, label_column="label")
    assert not hasattr(rewards["cheat"][0], "labels")


def test_a_supervised_run_needs_labels_and_a_reward_that_sees_them(settings):
    with pytest.raises(InputError, match="label_column: got none"):
        prepare(settings, {"cheat": (SeesLabels(), 1.0)}, supervised=True)
    with pytest.raises(InputError, match="rewards: got none for labels"):
        prepare(settings, supervised=True, label_column="label")


def test_a_direction_of_labelled_answers_is_supervised(settings, tmp_path):
    pairs = write_rows(
        tmp_path / "pairs.jsonl", [{"prompt": "1+1=", "positive": "2", "negative": "3"}]
    )
    rule = {"layer": 1, "pairs": pairs, "low": 0.0, "high": 1.0}
    changes = {"curriculum": {"hidden_states": rule}, "num_prompts": 2}
    with pytest.raises(InputError, match="curriculum: got 'hidden_states', which sees labels"):
        prepare(settings, **changes)
    prepare(settings, **changes, supervised=True)  # the prompts themselves need none


def test_a_supervised_control_gets_the_labels_by_prompt(settings):
    rewards = {"a": (len, 1.0), "control": (SeesLabels(), 1.0)}
    run = prepare(settings, rewards, supervised=True, label_column="label")
    expected = dict(zip(run.prompts["prompt_id"], [row["label"] for row in ROWS], strict=True))
    assert run.rewards["control"].labels == expected


def test_one_prompt_with_two_labels_supervises_nothing(settings, tmp_path):
    rows = [*ROWS, {"prompt": "0+1=", "label": "2"}]
    settings["dataset"] = write_rows(tmp_path / "two.jsonl", rows)
    with pytest.raises(InputError, match="label in row 5: got '2', expected '1' as in an earlier"):
        prepare(settings, {"c": (SeesLabels(), 1.0)}, supervised=True, label_column="label")


def test_the_same_prompt_has_the_same_id(settings, tmp_path):
    rows = [{"prompt": "1+1="}, {"prompt": "2+1="}, {"prompt": "1+1="}]
    ids = prepare(settings, dataset=write_rows(tmp_path / "twice.jsonl", rows)).prompts["prompt_id"]
    assert ids[0] == ids[2] != ids[1]


def test_a_dry_run_touches_nothing(settings, tmp_path):
    prepare(settings, dry_run=True)
    assert not (tmp_path / "run").exists()


def test_another_run_is_not_written_over(settings, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.jsonl").write_text("")
    with pytest.raises(InputError, match=r"output_dir: got .*, which holds another run"):
        prepare(settings)
    with pytest.raises(InputError, match="resume_from_checkpoint: got no checkpoint-N folder"):
        prepare(settings, resume_from_checkpoint="true")


def test_an_engine_that_cannot_end_a_branch_in_time(settings, tmp_path):
    path = tmp_path / "endless.py"
    path.write_text(
        "class Endless:\n    for_run = classmethod(print)\n"
        "    def generate(self, prompt_ids, num_samples, seeds, first_sample=0): ...\n"
    )
    branching = {"branching": {"entropy_confidence": {}}, "engine": f"{path}:Endless"}
    allow_code(branching)
    with pytest.raises(InputError, match=r"branching: got the engine .* generate takes max_len"):
        prepare(settings, **branching)
    prepare(settings, branching={"entropy_confidence": {}})


def test_an_engine_and_rewards_that_cannot_be_asked_ahead(settings):
    with pytest.raises(InputError, match="max_staleness: got 1 with the engine transformers"):
        prepare(settings, max_staleness=1)
    copied = Path(__file__).parents[2] / "end_to_end" / "copied_policy.py"
    engine = {"max_staleness": 1, "engine": f"{copied}:CopiedPolicy"}
    allow_code(engine)
    prepare(settings, **engine)
    rewards = {"token_entropy": (get_reward("token_entropy"), 1.0)}
    with pytest.raises(InputError, match="max_staleness: got 1 beside a reward that reads token"):
        prepare(settings, rewards, **engine)


def test_too_few_prompts(settings):
    with pytest.raises(InputError, match="num_prompts: got 6, expected at most the 5 prompts"):
        prepare(settings, num_prompts=6)


# Prompts that are too long: one character is one token here.


@pytest.fixture
def long(tmp_path):
    """Rows 1 and 3 are too long for the tiny model's context of 128 and a completion of 16."""
    prompts = ["1+1=", "1" * 113, "2+1=", "2" * 114, "1" * 112]
    rows = [{"prompt": prompt, "label": str(row)} for row, prompt in enumerate(prompts)]
    return write_rows(tmp_path / "long.jsonl", rows)


def test_overlong_prompts_are_dropped_with_a_count(settings, long, caplog):
    run = prepare(settings, dataset=long, label_column="label", dry_run=True)
    assert run.prompts["row"][:] == [0, 2, 4]
    # Labels are found by the position in the source, as before.
    assert [run.labels[row] for row in run.prompts["row"]] == ["0", "2", "4"]
    facts = run.prompt_facts
    assert (facts.num_in_source, facts.dropped_rows, facts.num_trained) == (5, [1, 3], 3)
    assert (facts.limit, facts.longest) == (112, 112)
    assert "2 of 5 prompts (40.00%) dropped, being longer than 112 tokens" in caplog.text
    assert prepare(settings, dry_run=True).prompt_facts.dropped_rows == []


def test_a_limit_of_ones_own(settings, long):
    run = prepare(settings, dataset=long, max_prompt_length=4, dry_run=True)
    assert run.prompts["row"][:] == [0, 2]
    with pytest.raises(InputError, match="max_prompt_length: got 113, expected at most 112"):
        prepare(settings, dataset=long, max_prompt_length=113)
    with pytest.raises(InputError, match="max_completion_length: got 128, expected less than the"):
        prepare(settings, dataset=long, max_completion_length=128)


def test_overlong_prompts_are_refused_where_asked(settings, long):
    with pytest.raises(InputError, match="row 3: got 114 tokens, expected at most 112, as in 2 of"):
        prepare(settings, dataset=long, overlong_prompts="refuse")


def test_what_is_left_must_make_a_batch(settings, long):
    with pytest.raises(
        InputError, match=r"at most the 3 prompts in .* \(2 of 5 prompts .* dropped"
    ):
        prepare(settings, dataset=long, num_prompts=4)
    with pytest.raises(InputError, match="prompts: got 5 of 4 tokens or more, expected some of at"):
        prepare(settings, dataset=long, max_prompt_length=3)


def test_a_resumed_run_sees_the_same_prompts(settings, long, tmp_path):
    run = prepare(settings, dataset=long)
    run.run_files.write_config(run.config, run.prompt_facts)
    with Checkpoints(tmp_path / "run", Accelerator(cpu=True), None).writing(1) as checkpoint:
        run.run_files.copy_config(checkpoint)
    resumed = prepare(settings, dataset=long, resume_from_checkpoint="true")
    assert resumed.prompt_facts == run.prompt_facts
    with pytest.raises(InputError, match="dataset: got 2 prompts, expected the 3 that the run in"):
        prepare(settings, dataset=long, resume_from_checkpoint="true", max_prompt_length=4)
    meant = {"max_prompt_length": 4, "accept_changes": ["dataset"]}
    changed = prepare(settings, dataset=long, resume_from_checkpoint="true", **meant)
    assert changed.prompt_facts.num_trained == 2
    with pytest.raises(InputError, match=r"^temperature: got 0\.5, expected 1\.0 as in .*-1\. Set"):
        prepare(settings, dataset=long, resume_from_checkpoint="true", temperature=0.5)


def test_an_evaluation_drops_nothing(settings, tmp_path):
    problems = [{"prompt": "1+1=", "answer": "2"}, {"prompt": "1" * 113, "answer": "3"}]
    path = write_rows(tmp_path / "heldout.jsonl", problems)
    for setting in ("eval_benchmarks", "eval_prompts"):
        with pytest.raises(InputError, match=r"heldout.jsonl, problem '1': got 113 tokens, exp"):
            prepare(settings, **{setting: [path]})


def test_benchmarks_are_loaded_under_their_names(settings, tmp_path):
    problems = [{"prompt": "1+1=", "answer": "2"}, {"prompt": "1+2=", "answer": "3"}]
    path = write_rows(tmp_path / "heldout.jsonl", problems)
    run = prepare(settings, eval_benchmarks=[path], dry_run=True)
    assert run.benchmarks.keys() == {path}
    assert len(run.benchmarks[path].problems) == 2


def test_bad_files_are_one_line(settings, tmp_path):
    cases = {
        "model": (
            str(tmp_path / "no" / "such" / "model"),
            "model: got .*, expected a model folder",
        ),
        "dataset": (str(tmp_path / "none.jsonl"), "none.jsonl"),
        "prompt_column": ("promt", "Did you mean 'prompt'"),
        "label_column": ("gold", "label_column: got 'gold', expected one of label, prompt"),
        "eval_benchmarks": ([str(tmp_path / "none.json")], "none.json"),
    }
    for name, (value, message) in cases.items():
        with pytest.raises(InputError, match=message) as raised:
            prepare(settings, **{name: value}, dry_run=True)
        assert "\n" not in str(raised.value)


def test_a_folder_without_a_model(settings, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"model: got .*empty, expected a model folder"):
        prepare(settings, model=str(tmp_path / "empty"))


def test_chat_prompts_need_a_chat_template(settings):
    with pytest.raises(InputError, match="chat template: got none in the model's tokenizer"):
        prepare(settings, system_prompt="Be brief.")


# Views.


class NeedsViews:
    needs_views = True

    def __call__(self, group):
        return [0.0] * len(group.rollouts)


def worded(tmp_path, others):
    rows = [{**row, "other": other} for row, other in zip(ROWS, others, strict=True)]
    return write_rows(tmp_path / "worded.jsonl", rows)


def test_wordings_are_prompts_of_their_own(settings, tmp_path):
    data = worded(tmp_path, [f"1+{i}=" for i in range(5)])
    run = prepare(settings, dataset=data, views={"column": {"name": "other"}})
    assert run.prompts["prompt"][:4] == ["0+1=", "1+0=", "1+1=", "1+1="]
    assert run.prompts["row"][:4] == [0, 0, 1, 1]
    assert run.prompt_facts.num_in_source == 10


def test_a_batch_holds_whole_problems(settings, tmp_path):
    data = worded(tmp_path, [["2", "3"]] * 5)
    views = {"column": {"name": "other", "num": 2}}
    with pytest.raises(InputError, match=r"num_prompts: got 2, expected a multiple of the 3 word"):
        prepare(settings, dataset=data, views=views)
    settings |= {"num_prompts": 3, "per_device_train_batch_size": 12}
    assert len(prepare(settings, dataset=data, views=views).prompts) == 15


def test_a_problem_is_dropped_whole(settings, tmp_path):
    data = worded(tmp_path, ["1=", "1+1+1+1+1=", *["1="] * 3])
    views = {"column": {"name": "other"}}
    run = prepare(settings, dataset=data, views=views, max_prompt_length=6)
    assert run.prompts["row"] == [0, 0, 2, 2, 3, 3, 4, 4]
    assert run.prompt_facts.dropped_rows == [1, 1]


def test_a_reward_that_compares_wordings_needs_them(settings):
    with pytest.raises(InputError, match="views: got none beside the reward 'mine'"):
        prepare(settings, {"mine": (NeedsViews(), 1.0)})
