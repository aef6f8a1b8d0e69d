"""What a recipe's `teacher` says; the schedule's numbers by hand."""

import math

import pytest

from rl.errors import InputError
from rl.training.checks import check_what_rewards_need
from rl.training.config import LabelFreeConfig
from rl.training.teacher_settings import (
    TeacherSettings,
    decay_at,
    read_teacher,
)


def test_without_an_end_the_decay_is_constant():
    settings = read_teacher({"kind": "ema", "decay": 0.9})
    assert [decay_at(settings, k, 10) for k in (0, 5, 10)] == [0.9] * 3


def test_a_run_of_no_batches():
    assert decay_at(TeacherSettings(kind="ema", final_decay=0.5), 0, 0) == 0.99


def test_the_cosine_is_the_code_s():
    # update_alpha: alpha_end + 0.5 (alpha_start - alpha_end) (1 + cos(pi t / T)), alpha = 1 - d.
    settings = TeacherSettings(kind="ema", decay=0.99, final_decay=0.99999)
    for t in (0, 1, 37, 100):
        alpha = 1e-5 + 0.5 * (0.01 - 1e-5) * (1.0 + math.cos(math.pi * t / 100))
        assert decay_at(settings, t, 100) == pytest.approx(1 - alpha, abs=1e-12)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({}, "teacher.kind: got none"),
        ({"kind": "emma"}, "teacher.kind: got 'emma'.*Did you mean 'ema'"),
        ({"kind": "ema", "decay": 1.0}, r"teacher.decay: got 1.0, expected below 1"),
        ({"kind": "ema", "every": 0}, "teacher.every: got 0"),
        ({"kind": "ema", "labels": "a"}, "teacher.labels: got 'a' beside kind 'ema'"),
        ({"kind": "frozen", "decay": 0.9}, "teacher.decay: got 0.9 beside kind 'frozen'"),
        ({"kind": "offline", "every": 2}, "teacher.every: got 2 beside kind 'offline'"),
        ({"kind": "ema", "rate": 1}, "setting of teacher: got 'rate'"),
    ],
)
def test_wrong_settings(setting, message):
    with pytest.raises(InputError, match=message):
        read_teacher(setting)


@pytest.mark.parametrize("other", [{"max_staleness": 1}, {"selfplay": {"game": "spell"}}])
def test_what_does_not_go_with_a_teacher(tmp_path, other):
    with pytest.raises(InputError, match="beside"):
        LabelFreeConfig(output_dir=str(tmp_path), teacher={"kind": "ema"}, **other)


class Reads:
    needs_teacher = True


@pytest.mark.parametrize("rewards", [{"majority_vote": object()}, {}])
def test_a_teacher_that_nothing_reads(tmp_path, rewards):
    terms = {"entropy_minimisation": {}}
    config = LabelFreeConfig(
        output_dir=str(tmp_path),
        teacher={"kind": "ema"},
        rewards=dict.fromkeys(rewards),
        loss_terms=terms,
    )
    with pytest.raises(InputError, match=r"teacher: got .*expected one that reads"):
        check_what_rewards_need(config, rewards)


@pytest.mark.parametrize(
    ("named", "reward"),
    [
        ({"teacher_vote": {}}, Reads()),
        ({"mine.py:as_before": None}, object()),
        ({"weighted_vote": {"by": {"mine.py:weight": {}}}}, object()),
    ],
)
def test_code_of_one_s_own_may_read_a_teacher(tmp_path, named, reward):
    config = LabelFreeConfig(output_dir=str(tmp_path), teacher={"kind": "ema"}, rewards=named)
    check_what_rewards_need(config, dict.fromkeys(named, reward))
