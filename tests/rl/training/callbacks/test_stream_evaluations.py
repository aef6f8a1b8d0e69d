"""Rows of a stream's matrix: when one is due, what they come to, and a run that is stopped."""

import json
from types import SimpleNamespace

import pytest
from transformers import TrainerState

from rewards import get_reward
from rl.training.callbacks.stream_evaluations import StreamEvaluations
from rl.training.config import LabelFreeConfig
from rl.training.prepare import prepare_run
from rl.training.run import train


def make(benchmarks, **source):
    args = SimpleNamespace(num_updates=2, num_iterations=1)
    trainer = SimpleNamespace(
        args=args,
        source=SimpleNamespace(**source),
        accelerator=SimpleNamespace(is_main_process=True),
    )
    return StreamEvaluations(trainer, benchmarks)  # type: ignore[arg-type]


def found(*values):
    return {name: {"pass@1": value} for name, value in zip("ab", values, strict=False)}


def at(step):
    state = TrainerState()
    state.global_step = step
    return state


def test_it_is_due_when_the_last_batch_of_a_data_set_is_used_up():
    assert make(["a"], part=0, ends_part=True).is_due(at(4))
    assert not make(["a"], part=0, ends_part=True).is_due(at(5))  # its second update is to come
    assert not make(["a"], part=0, ends_part=False).is_due(at(4))
    assert not make(["a"]).is_due(at(4))  # a source of another kind


def test_rows_and_what_is_forgotten():
    stream = make(["a", "b"], part=0, ends_part=True)
    stream.add(found(0.75, 0.5), 4)
    assert stream.logs(4) == {
        "eval/continual_part": 0,
        "eval/continual_average_accuracy": 0.75,
    }
    stream.trainer.source.part = 1
    stream.add(found(0.5, 0.25), 6)
    stream.add(found(0.25, 1.0), 8)  # of the same data set: the newest counts
    assert stream.logs(6) == {}
    assert stream.logs(8)["eval/continual_forgetting"] == 0.5
    told = stream.summary(found(0.25, 0.25))
    assert told == {
        "benchmarks": ["a", "b"],
        "steps": [4, 8],
        "accuracies": [[0.75, 0.5], [0.25, 1.0]],
        "base": [0.25, 0.25],
        "after_each": [
            {
                "average_accuracy": 0.75,
                "forgetting": None,
                "backward_transfer": None,
                "forward_transfer": None,
            },
            {
                "average_accuracy": 0.625,
                "forgetting": 0.5,
                "backward_transfer": -0.5,
                "forward_transfer": 0.25,
            },
        ],
        "average_accuracy": 0.625,
        "forgetting": 0.5,
        "backward_transfer": -0.5,
        "forward_transfer": 0.25,
    }
    assert stream.summary(None)["forward_transfer"] is None
    again = make(["a", "b"], part=1)
    again.load_state_dict(json.loads(json.dumps(stream.state_dict())))
    assert again.summary(None) == stream.summary(None)


def test_fewer_benchmarks_than_data_sets_have_no_measure(caplog):
    stream = make(["a"], part=0)
    stream.add(found(0.5), 4)
    stream.trainer.source.part = 1
    stream.add(found(0.75), 8)
    told = stream.summary(None)
    assert told["accuracies"] == [[0.5], [0.75]]
    assert told["after_each"] == [stream.summary(None)["after_each"][0], {}]
    assert "forgetting" not in told
    assert "eval_benchmarks: 1 for more data sets of the stream" in caplog.text


@pytest.mark.parametrize("benchmarks", [["a", "b"], ["b"]])
def test_a_run_that_goes_on_with_other_benchmarks_has_no_measure(benchmarks, caplog):
    stream = make(["a"], part=0)
    stream.add(found(0.5), 4)
    again = make(benchmarks, part=1)
    again.load_state_dict(json.loads(json.dumps(stream.state_dict())))
    assert "eval_benchmarks: other ones than in the checkpoint" in caplog.text
    again.add(found(0.5, 0.25), 8)
    assert again.logs(8) == {"eval/continual_part": 1}
    told = again.summary(found(0.75))  # nor is the base known on all of them
    assert (told["steps"], told["base"], told["after_each"]) == ([8], None, [{}])
    # A base that was evaluated on one benchmark is told without its name, on two with names.
    assert again.summary({"pass@1": 0.75})["base"] is None


def test_without_a_stream_or_a_labelled_benchmark_there_is_no_row():
    for stream in (make(["a"]), make([], part=0)):
        stream.add(found(0.5), 4)
        assert stream.rows == []


@pytest.mark.medium
def test_a_run_is_evaluated_after_each_file_also_where_it_was_stopped(tmp_path, tiny_model_folder):
    for name in "ab":
        rows = [{"prompt": f"{n}+{ord(name) - 96}="} for n in range(4)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        problem = {"prompt": f"7+{ord(name) - 96}=", "label": "8"}
        (tmp_path / f"{name}_heldout.jsonl").write_text(json.dumps(problem) + "\n")

    def run(folder, **settings):
        config = LabelFreeConfig(
            model=tiny_model_folder,
            dataset=[str(tmp_path / f"{name}.jsonl") for name in "ab"],
            eval_benchmarks=[str(tmp_path / f"{name}_heldout.jsonl") for name in "ab"],
            curriculum={"data_stream": {}},
            answer_methods=["last_number"],
            eval_num_samples=4,
            eval_controls=False,
            num_prompts=2,
            num_generations=4,
            per_device_train_batch_size=8,
            max_completion_length=3,
            gradient_checkpointing=False,
            disable_tqdm=True,
            lr_scheduler_type="constant",
            output_dir=str(tmp_path / folder),
            **settings,
        )
        return train(prepare_run(config, {"majority_vote": (get_reward("majority_vote"), 1.0)}))

    # Four prompts of each file, two a step: the first ends with step 2.
    whole = run("whole", max_steps=5)["continual"]
    assert whole["steps"] == [2, 5]
    lines = [json.loads(line) for line in (tmp_path / "whole/metrics.jsonl").open()]
    told = {line["step"]: line for line in lines if "eval/continual_part" in line}
    assert [told[step]["eval/continual_part"] for step in (2, 5)] == [0, 1]
    assert [told[5][f"eval/{n}_heldout/pass@1"] for n in "ab"] == whole["accuracies"][1]
    assert told[5]["eval/continual_forgetting"] == whole["forgetting"]
    assert len(whole["base"]) == 2

    run("parts", max_steps=3, save_steps=3)
    (tmp_path / "parts" / "summary.json").unlink()
    resumed = run("parts", max_steps=5, save_steps=3, resume_from_checkpoint="auto")
    assert resumed["continual"] == whole
