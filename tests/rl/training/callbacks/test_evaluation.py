"""Evaluations on a schedule in a real run, and the policy that is kept."""

import json
from pathlib import Path
from shutil import copytree, rmtree
from types import SimpleNamespace
from typing import Any

import pytest
from accelerate import Accelerator
from transformers import TrainerState

from rewards import get_reward
from rl.answers import use_comparer
from rl.errors import InputError
from rl.evaluation.records import SampleRecord
from rl.groups.leaders import LeaderMemory
from rl.training.callbacks.evaluation import PolicyEvaluation, eval_logs, settled_answers
from rl.training.checkpoints import Checkpoints, checkpoint_problem, checkpoint_step
from rl.training.config import LabelFreeConfig
from rl.training.guards.verdict import Event
from rl.training.prepare import prepare_run
from rl.training.run import train


def test_controls_of_a_benchmark_that_is_named_no_more_are_left(tmp_path):
    controls = {"greedy": {}, "cooled": {}, "temperature": 1.0, "majority": {}, "num_votes": 4}
    (tmp_path / "controls.json").write_text(json.dumps({"a": controls, "b": controls}))
    callback: Any = SimpleNamespace(output_dir=tmp_path, run=SimpleNamespace(benchmarks={"b": 1}))
    PolicyEvaluation._read_controls(callback)
    assert list(callback.controls) == ["b"]


@pytest.fixture
def run_training(tmp_path, tiny_model_folder):
    def run(**settings):
        train_file, heldout = tmp_path / "train.jsonl", tmp_path / "heldout.jsonl"
        train_file.write_text("".join(json.dumps({"prompt": f"{a}+1="}) + "\n" for a in range(4)))
        heldout.write_text(json.dumps({"prompt": "7+1=", "label": "8"}) + "\n")
        settings = {
            "output_dir": str(tmp_path / "run"),
            "eval_benchmarks": [str(heldout)],
            "answer_methods": ["last_number"],
            **settings,
        }
        config = LabelFreeConfig(
            model=tiny_model_folder,
            dataset=str(train_file),
            eval_num_samples=4,
            num_prompts=2,
            num_generations=4,
            per_device_train_batch_size=8,
            max_completion_length=3,
            gradient_checkpointing=False,
            disable_tqdm=True,
            **{"max_steps": 3, **settings},
        )
        run = prepare_run(config, {"majority_vote": (get_reward("majority_vote"), 1.0)})
        return train(run), tmp_path / "run"

    return run


@pytest.mark.medium
def test_the_policy_is_evaluated_on_a_schedule_and_the_best_is_kept(run_training):
    from transformers import AutoModelForCausalLM

    summary, folder = run_training(eval_every=1, keep_best="majority_ratio", save_steps=1)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    evaluations = [line for line in lines if "eval/pass@1" in line]
    assert [line["step"] for line in evaluations] == [0, 1, 2, 3]
    assert evaluations[0]["eval/majority_ratio"] == summary["before"]["majority_ratio"]
    assert evaluations[-1]["eval/pass@1"] == summary["after"]["pass@1"]
    tokens = [line["eval/sampled_tokens"] for line in evaluations]
    assert tokens[0] == 0
    assert tokens == sorted(set(tokens))
    # TRL's own numbers of each step are untouched.
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3]
    ratios = [line["eval/majority_ratio"] for line in evaluations]
    best = json.loads((folder / "best.json").read_text())
    assert best == {
        "step": ratios.index(max(ratios)),
        "metric": "majority_ratio",
        "value": max(ratios),
        "label_free": True,
        "signs": {
            name: evaluations[best["step"]][f"eval/{name}"]
            for name in ("truncated_frac", "no_answer_frac")  # one problem has no kappa
        },
    }
    assert summary["best"] == best
    assert "now" not in summary
    AutoModelForCausalLM.from_pretrained(folder / "best")

    # Four votes and four samples: the majority is read off the samples of before.
    controls = summary["controls"]
    assert controls["majority"] == pytest.approx(summary["before"]["maj@4"])
    assert controls["temperature"] >= summary["before"]["pass@1"]
    assert controls["verdict"].startswith(f"pass@1 {summary['after']['pass@1']:.3f}: ")

    # Prompts without labels choose alike, and nothing that needs a label is said of them.
    unlabelled, _ = run_training(
        eval_every=1,
        keep_best="majority_ratio",
        eval_benchmarks=[],
        eval_prompts=[str(folder.parent / "heldout.jsonl")],
        output_dir=str(folder.parent / "unlabelled"),
    )
    assert unlabelled["best"] == best
    assert "controls" not in unlabelled
    assert "pass@1" not in unlabelled["after"]
    assert unlabelled["after"]["majority_ratio"] == summary["after"]["majority_ratio"]

    # A resumed run goes on from the best found up to its checkpoint.
    resumed, _ = run_training(
        eval_every=1, keep_best="majority_ratio", save_steps=1, resume_from_checkpoint="true"
    )
    assert resumed["before"] == summary["before"]
    assert resumed["best"] == best


@pytest.mark.medium
def test_a_run_killed_around_an_evaluation_repeats_none(run_training, tmp_path):
    settings = {"eval_every": 1, "save_steps": 1, "guards": {"collapse": "stop"}}
    settings |= {"keep_best": "majority_ratio"}

    def lines_of(folder):
        lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
        names = ("seconds", "time", "per_second", "train_loss")
        return [
            {k: v for k, v in line.items() if not any(name in k for name in names)}
            for line in lines
        ]

    summary, whole = run_training(**settings)
    # Killed before the first step, and behind the last evaluation.
    for last in (0, 3):
        killed = tmp_path / f"killed {last}"
        copytree(whole, killed)
        for step in range(last + 1, 4):
            rmtree(killed / f"checkpoint-{step}")
        (killed / "summary.json").unlink()
        resumed, _ = run_training(**settings, output_dir=str(killed), resume_from_checkpoint="auto")
        assert lines_of(killed) == lines_of(whole)
        assert (resumed["before"], resumed["after"]) == (summary["before"], summary["after"])
        assert resumed["best"] == summary["best"]


def test_the_task_of_a_run_is_that_of_its_evaluation(run_training, tmp_path):
    # Every completion is an answer and all are the same, the label too.
    (tmp_path / "task.py").write_text(
        "def whole(completion):\n    return 'it is ' + completion\n"
        "def same(left, right):\n    return True\n"
    )
    task = str(tmp_path / "task.py")
    summary, folder = run_training(
        answer_methods=[f"{task}:whole"], answer_comparer=f"{task}:same", max_steps=1
    )
    use_comparer(None)
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    [step] = [line for line in metrics if "vote/unanimous_frac" in line]
    assert (step["vote/unanimous_frac"], step["vote/abstained_frac"]) == (1.0, 0.0)
    assert summary["after"]["pass@1"] == summary["after"]["majority_ratio"] == 1.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eval_every": -1}, "eval_every: got -1"),
        ({"keep_best": "pass@3"}, "keep_best"),
        ({"keep_best": "mean_length"}, "keep_best"),
        ({"eval_every": 5, "eval_benchmarks": []}, "got none beside eval_every"),
        (
            {"keep_best": "pass@1", "eval_benchmarks": [], "eval_prompts": ["a.jsonl"]},
            "keep_best: got 'pass@1' without eval_benchmarks",
        ),
        ({"eval_prompts": ["a.jsonl"]}, "expected each file once"),
    ],
)
def test_settings_that_do_not_go_together(tmp_path, settings, message):
    with pytest.raises(InputError, match=message):
        LabelFreeConfig(
            output_dir=str(tmp_path),
            **{"eval_benchmarks": ["a.jsonl"], "eval_num_samples": 4, **settings},
        )


def test_several_benchmarks_are_told_apart():
    assert eval_logs({"x/a.jsonl": {"pass@1": 0.5}}) == {"eval/pass@1": 0.5}
    several = eval_logs({"x/a.jsonl": {"pass@1": 0.5}, "b": {"pass@1": 1.0}})
    assert several == {"eval/a/pass@1": 0.5, "eval/b/pass@1": 1.0}
    of_one_name = eval_logs({"x/a.jsonl": {"pass@1": 0.5}, "y/a.jsonl": {"pass@1": 1.0}})
    assert of_one_name == {"eval/x/a/pass@1": 0.5, "eval/y/a/pass@1": 1.0}


def samples(answers):
    """Three samples of each problem, all with the same answer."""
    return [
        SampleRecord(
            problem_id=problem,
            sample=i,
            seed=0,
            prompt_id=problem,
            completion=answer,
            num_tokens=1,
            truncated=False,
            answer=answer,
            cluster=0,
            label="never read",
        )
        for problem, answer in answers.items()
        for i in range(3)
    ]


def test_held_out_answers_tell_what_has_come_loose():
    leaders = LeaderMemory()
    assert settled_answers(samples({"a": "1", "b": "2"}), leaders, 0) == {"kappa": 1.0}
    found = settled_answers(samples({"a": "1", "b": "1"}), leaders, 10)
    assert found == {
        "kappa": 0.0,
        "flip_frac": 0.5,
        "num_settled": 2,
        "settled_flips": 1,
        "settled_gap": 10,
    }


PROBLEMS = [str(number) for number in range(30)]


@pytest.fixture
def evaluate_at(tmp_path):
    """Evaluations of a run whose policy is a number: the step it was saved at."""
    accelerator = Accelerator(cpu=True)
    trainer = SimpleNamespace(
        memories={},
        state=SimpleNamespace(global_step=0),
        accelerator=accelerator,
        checkpoints=Checkpoints(tmp_path, accelerator, None),
        save_model=lambda folder: (Path(folder) / "model").write_text("weights"),
    )
    run = SimpleNamespace(
        config=SimpleNamespace(keep_best="majority_ratio", eval_base=False, eval_benchmarks=[]),
        benchmarks={"heldout": None},
        run_files=SimpleNamespace(output_dir=tmp_path),
    )

    def start(step=None, events=()):
        run.checkpoint = None if step is None else tmp_path / f"checkpoint-{step}"
        guards = SimpleNamespace(
            is_calm=True, listeners=[], record=SimpleNamespace(events=list(events))
        )
        evaluation = PolicyEvaluation(trainer, run, guards)
        evaluation.on_train_begin(None, TrainerState(global_step=step or 0), None)

        def evaluate(step, answers=PROBLEMS, majority_ratio=0.5, **signs):
            evaluation.samples = {"heldout": samples(dict(zip(PROBLEMS, answers, strict=True)))}
            found = {"majority_ratio": majority_ratio, "kappa": 0.6, "no_answer_frac": 0.0, **signs}
            evaluation._keep_if_best("heldout", found, TrainerState(global_step=step))
            return best_of(tmp_path)

        return evaluate, guards

    return start


def best_of(folder):
    """Steps of the best policy and of those it may fall back to; every one is whole."""
    path, found = folder / "best.json", None
    if path.exists():
        found = json.loads(path.read_text())["step"]
        assert checkpoint_step(folder / "best") == found
        assert checkpoint_problem(folder / "best") is None
    else:
        assert not (folder / "best").exists()
    earlier = list((folder / "earlier_best").glob("step-*"))
    assert all(checkpoint_problem(place) is None for place in earlier)
    return found, sorted(int(place.name.removeprefix("step-")) for place in earlier)


def alarm(step, healthy_step):
    return Event(step=step, guard="collapse", action="warn", cause="why", healthy_step=healthy_step)


def test_a_policy_between_the_last_healthy_step_and_the_alarm_is_not_the_best(
    evaluate_at, tmp_path
):
    evaluate, guards = evaluate_at()
    for number, step in enumerate((0, 10, 20, 30, 40)):
        found = evaluate(step, majority_ratio=0.5 + number / 10)
    assert found == (40, [0, 20, 30])  # three are kept to fall back to
    [told] = guards.listeners
    told(alarm(44, None))  # a guard that does not know
    assert best_of(tmp_path) == (40, [0, 20, 30])
    told(alarm(44, 29))
    assert best_of(tmp_path) == (20, [0])
    # Worse than what was revoked, better than what stands; later steps are not revoked with it.
    assert evaluate(50, majority_ratio=0.75) == (50, [0, 20])
    told(alarm(44, 29))
    assert best_of(tmp_path) == (50, [0, 20])
    # Killed before anybody told it: the record of guards in the checkpoint does.
    evaluate_at(60, [alarm(60, 5)])
    assert best_of(tmp_path) == (0, [])
    # Nothing healthy was ever kept.
    evaluate_at(60, [alarm(60, -1)])
    assert best_of(tmp_path) == (None, [])


def test_the_first_policy_seen_may_be_in_trouble(evaluate_at, tmp_path):
    evaluate, guards = evaluate_at()
    guards.is_calm = False
    assert evaluate(10) == (None, [])


def test_a_killed_run_finds_its_best_again(evaluate_at, tmp_path):
    evaluate, _ = evaluate_at()
    for number, step in enumerate((0, 10, 20)):
        evaluate(step, majority_ratio=0.5 + number / 10)
    # Goes on from step 10: what step 20 found is found again.
    evaluate, _ = evaluate_at(10)
    assert best_of(tmp_path) == (10, [0])
    assert evaluate(20, majority_ratio=0.55) == (10, [0])
    # Killed while two folders changed places.
    (tmp_path / "best").rename(tmp_path / "earlier_best" / "step-10")
    evaluate_at(15)
    assert best_of(tmp_path) == (10, [0])
    # A damaged one is set aside.
    (tmp_path / "best" / "model").write_text("broken.")
    evaluate_at(15)
    assert best_of(tmp_path) == (0, [])
    assert (tmp_path / "dropped-best" / "model").exists()
    # Of a run that goes on before its first step the untouched policy is left.
    evaluate_at(0)
    assert best_of(tmp_path) == (0, [])
    # A run that starts has none.
    evaluate_at()
    assert best_of(tmp_path) == (None, [])


def test_a_collapsed_policy_is_never_the_best(evaluate_at):
    evaluator, guards = evaluate_at()
    problems = PROBLEMS

    def evaluate(*arguments, **signs):
        return evaluator(*arguments, **signs)[0]

    assert evaluate(0, problems, 0.5) == 0
    assert evaluate(10, problems, 0.6) == 10
    # Ever surer: of one answer to everything, of no answer, of other answers; and with an alarm.
    assert evaluate(20, problems, 0.7, kappa=0.1) == 10
    assert evaluate(30, problems, 0.8, no_answer_frac=0.9) == 10
    assert evaluate(40, problems[::-1], 0.9) == 10
    guards.is_calm = False
    assert evaluate(50, problems, 1.0) == 10
    # Four of thirty leading answers are given up from best to best: as a policy that learns does.
    guards.is_calm = True
    assert evaluate(60, [*problems[:26], *problems[:4]], 0.8) == 60
    # A resumed run compares with the same policy.
    resumed, _ = evaluate_at(60)
    assert resumed(70, problems[::-1], 0.9)[0] == 60
    assert resumed(70, [*problems[:26], *problems[:4]], 0.9)[0] == 70
