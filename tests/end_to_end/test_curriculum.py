"""A curriculum with refilled batches is the same on any number of ranks, and when it is resumed."""

from launching import REWARD, launch, one_process, ranks, read_metrics, read_rollouts

# Of random tokens, so that groups differ in how far they agree: some lie in the band.
SETTINGS = {
    "curriculum": {"easy_first": {}, "majority_band": {"low": 0.2, "high": 0.5, "num_tries": 3}},
    "answer_methods": ["last_number"],
    "max_completion_length": 4,
    "num_updates": 1,
    "num_prompts": 3,
    "num_generations": 8,
    "num_votes": 8,
    "per_device_train_batch_size": 12,
    "lr_scheduler_type": "constant",
    "learning_rate": 1e-5,
    "save_steps": 3,
}


def test_ranks_and_a_stop_change_nothing(recipe, tmp_path):
    whole = launch(one_process(), recipe, tmp_path / "whole", **SETTINGS, max_steps=5)
    parts = tmp_path / "parts"
    launch(ranks(2), recipe, parts, **SETTINGS, max_steps=3)
    (parts / "summary.json").unlink()
    launch(ranks(2), recipe, parts, **SETTINGS, max_steps=5, resume_from_checkpoint="auto")
    steps = [line for line in read_metrics(whole) if "loss" in line]
    tries = [line["signal/curriculum_tries"] for line in steps]
    assert max(tries) > 1, tries
    assert {0.0, 1.0} & {line["signal/curriculum_taught_frac"] for line in steps} != {0.0}
    # 14 prompts of which each batch takes at least 3: in step 5 a second epoch has begun.
    assert steps[-1]["signal/curriculum_epoch"] >= 1
    lines, others = read_rollouts(whole), read_rollouts(parts)
    facts = ("step", "prompt_id", "visit", "completion", "trained", "reward")
    assert [[line[f] for f in facts] for line in lines] == [
        [line[f] for f in facts] for line in others
    ]
    assert {line["trained"] for line in lines} == {True, False}


def test_what_the_base_s_states_choose_is_the_same_on_ranks_and_after_a_stop(recipe, tmp_path):
    states = {"layer": 1, "num_samples": 6, "low": 0.2, "high": 0.8}
    settings = {**SETTINGS, "curriculum": {"hidden_states": states}, "rewards": {REWARD: {}}}
    whole = launch(one_process(), recipe, tmp_path / "whole", **settings, max_steps=4)
    parts = tmp_path / "parts"
    launch(ranks(2), recipe, parts, **settings, max_steps=3)
    (parts / "summary.json").unlink()
    launch(ranks(2), recipe, parts, **settings, max_steps=4, resume_from_checkpoint="auto")
    lines, others = read_rollouts(whole), read_rollouts(parts)
    facts = ("step", "prompt_id", "visit", "completion", "trained")
    assert [[line[f] for f in facts] for line in lines] == [
        [line[f] for f in facts] for line in others
    ]
    # 14 prompts, one of them twice: floor(0.8 * 14) - floor(0.2 * 14) = 9, three a step.
    rows = [{line["visit"].split("-")[1] for line in lines if line["step"] == s} for s in (1, 2, 3)]
    assert sum(map(len, rows)) == len(set.union(*rows)) == 9
    steps = [line for line in read_metrics(parts) if "loss" in line]
    sampled = [line["cost/num_sampled_completions"] for line in steps]
    # Before the first update every prompt is asked for one greedy answer and six others.
    assert sampled == [14 * 7 + 3 * 8] + [3 * 8] * 3
