"""Answers of the base policy, made once: read again where they fit, refused where they do not."""

import json

import pytest
from tiny_trainer import rows_of

from rl.errors import InputError
from rl.training.teacher_labels import LabelsTeacher, read_labels

COMPLETIONS = [r"\boxed{1}", r"\boxed{2}", r"\boxed{1}"]


class SeesTeacher:
    def __init__(self):
        self.seen = []

    def __call__(self, group):
        self.seen.append([r.cluster for r in group.teacher.rollouts])
        return [0.0] * len(group.rollouts)


@pytest.fixture
def labelled(make_trainer, tmp_path):
    """Build a trainer whose teacher's answers are in a file; returns it with its reward."""

    def make(num_votes=2, **settings):
        reward = SeesTeacher()
        trainer = make_trainer(COMPLETIONS, {"taught": reward}, **settings)
        path = tmp_path / "labels.jsonl"
        trainer.source.teacher = LabelsTeacher(path, trainer.train_dataset, num_votes)
        return trainer, reward, path

    return make


def test_answers_are_made_once_and_read_again(labelled):
    trainer, reward, path = labelled()
    trainer.next_batch(rows_of(trainer))
    # Votes 1 and 2 of the teacher, in the classes of 1, 2, 1.
    assert reward.seen == [[0, 1], [0, 1]]
    head, *lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["answers"] for line in lines] == [["1", "2"]] * 2
    assert head["made_with"]["num_votes"] == 2
    spent = trainer.costs.finish_step()
    assert spent["cost/num_sampled_completions"] == 6 + 4
    trainer.next_batch(rows_of(trainer))
    assert "cost/num_teacher_tokens" not in trainer.costs.finish_step()

    other, reward, _ = labelled()
    other.next_batch(rows_of(other))
    assert reward.seen == [[0, 1], [0, 1]]
    assert "cost/num_teacher_tokens" not in other.costs.finish_step()


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"num_votes": 3}, "num_votes"),
        ({"seed": 7}, "seed"),
        ({"prompts": ("3+3=", "1=")}, "prompts"),
    ],
)
def test_a_file_made_with_anything_else_is_refused(labelled, changes, name):
    trainer, *_ = labelled()
    trainer.next_batch(rows_of(trainer))
    other, *_ = labelled(**changes)
    with pytest.raises(InputError, match=rf"teacher\.labels: got .* another value of {name}, exp"):
        other.next_batch(rows_of(other))


def test_answers_of_another_model_are_refused(labelled):
    trainer, *_ = labelled()
    trainer.next_batch(rows_of(trainer))
    other, *_ = labelled()
    next(other.model.parameters()).data.add_(0.01)
    with pytest.raises(InputError, match="another value of weights"):
        other.next_batch(rows_of(other))


def test_they_are_not_made_of_a_policy_that_was_trained(labelled):
    trainer, *_ = labelled()
    trainer.state.global_step = trainer._step = 5
    with pytest.raises(InputError, match=r"teacher\.labels: got no file .*labels\.jsonl"):
        trainer.next_batch(rows_of(trainer))


@pytest.mark.parametrize(
    "text", ["", "{}\n", "[1]\n", '{"made_with": 5}\n', '{"made_with": {}}\n5\n']
)
def test_other_files_are_refused(tmp_path, text):
    path = tmp_path / "labels.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=r"expected answers of a teacher"):
        read_labels(path, {}, None)


def test_no_file_no_answers(tmp_path):
    assert read_labels(tmp_path / "nowhere.jsonl", {}, None) == {}
