"""What is asked for ahead is sampled meanwhile, by the policy it was asked of, and used once."""

import threading

import pytest

from rl.rollouts.ahead_engine import AheadEngine, Request
from rl.rollouts.engine import Sample, SamplingSettings, with_settings


class Engine:
    """Answers with its version, once it may."""

    def __init__(self):
        self.settings = SamplingSettings(max_completion_length=4)
        self.version, self.calls, self.may = 0, 0, threading.Event()
        self.closed = False

    def generate(self, prompt_ids, num_samples, seeds, first_sample=0):
        self.may.wait(10)
        self.calls += 1
        length = self.settings.max_completion_length
        sample = Sample(completion_ids=[self.version, length], truncated=False)
        return [[sample] * num_samples for _ in prompt_ids]

    def sync_weights(self):
        self.version += 1

    def close(self):
        self.closed = True


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture
def ahead(engine):
    found = AheadEngine(engine)
    yield found
    engine.may.set()
    found.close()
    assert engine.closed


def first_ids(samples):
    return samples[0][0].completion_ids


def request(seeds=(11,), num_samples=1):
    return Request(prompt_ids=[[5]] * len(seeds), num_samples=num_samples, seeds=list(seeds))


def test_nothing_asked_for(engine, ahead):
    engine.may.set()
    assert ahead.version(3, request(), otherwise=7) == 7
    ahead.finish()
    ahead.forget()
    assert first_ids(ahead.generate([[5]], 2, [11])) == [0, 4]


def test_it_is_sampled_meanwhile_and_used_once(engine, ahead):
    two = request([11, 12], 2)
    ahead.ask(1, 0, two)
    assert ahead.version(1, two, otherwise=9) == 0  # and the caller goes on
    engine.may.set()
    ahead.sync_weights()  # waits for it
    assert (engine.calls, engine.version) == (1, 1)
    ahead.ask(1, 1, two)  # is there already
    found = ahead.generate([[5], [5]], 2, [11, 12])
    assert [len(row) for row in found] == [2, 2]
    assert first_ids(found) == [0, 4]  # of the weights before
    assert engine.calls == 1
    assert ahead.version(1, two, otherwise=9) == 9
    assert first_ids(ahead.generate([[5], [5]], 2, [11, 12])) == [1, 4]


@pytest.mark.parametrize("other", [([11, 13], 2, 0), ([11, 12], 3, 0), ([11, 12], 2, 2)], ids=str)
def test_another_call_is_sampled_at_once(engine, ahead, other):
    engine.may.set()
    ahead.ask(1, 0, request([11, 12], 2))
    ahead.sync_weights()
    seeds, num_samples, first = other
    assert first_ids(ahead.generate([[5], [5]], num_samples, seeds, first)) == [1, 4]
    assert ahead.version(1, request([11, 12], 2), otherwise=9) == 0


def test_a_copy_with_other_settings_leaves_it_alone(engine, ahead):
    engine.may.set()
    ahead.ask(1, 0, request())
    greedy = with_settings(ahead, SamplingSettings(max_completion_length=2))
    assert first_ids(greedy.generate([[7]], 1, [3])) == [0, 2]
    assert first_ids(ahead.generate([[5]], 1, [11])) == [0, 4]


def test_the_next_may_be_asked_for_before_this_one_is_used(engine, ahead):
    engine.may.set()
    ahead.ask(1, 0, request([11]))
    ahead.sync_weights()
    ahead.ask(2, 1, request([12]))
    assert first_ids(ahead.generate([[5]], 1, [11])) == [0, 4]
    assert first_ids(ahead.generate([[6]], 1, [12])) == [1, 4]


def test_what_was_asked_of_other_prompts_is_dropped(engine, ahead, caplog):
    engine.may.set()
    ahead.ask(1, 0, request([11, 12]))
    # As on another number of ranks, or with other votes.
    assert ahead.version(1, request([11]), otherwise=3) == 3
    assert "batch 1 is sampled again" in caplog.text
    assert ahead.version(1, request([11, 12]), otherwise=3) == 3


def test_a_rank_without_prompts_keeps_the_version_of_the_others(engine, ahead):
    engine.may.set()
    ahead.ask(1, 0, request([]))
    ahead.sync_weights()
    assert ahead.generate([], 1, []) == []  # as of the batch before
    assert ahead.version(1, request([]), otherwise=1) == 0
    ahead.ask(2, 1, request([]))
    ahead.ask(3, 2, request([]))
    assert ahead.version(1, request([]), otherwise=1) == 1


def test_what_is_given_up_is_sampled_anew(engine, ahead):
    engine.may.set()
    ahead.ask(1, 0, request())
    ahead.forget()
    engine.sync_weights()
    assert first_ids(ahead.generate([[5]], 1, [11])) == [1, 4]


def test_what_the_engine_raises_reaches_the_caller_and_no_checkpoint(engine, ahead, tmp_path):
    engine.may.set()
    broken = request()
    broken.prompt_ids = 5
    ahead.ask(1, 0, broken)
    ahead.save(tmp_path, rank=0)
    with pytest.raises(TypeError, match="not iterable"):
        ahead.finish()
    ahead.load(tmp_path, rank=0)
    ahead.finish()


def test_a_checkpoint_holds_it(engine, ahead, tmp_path):
    engine.may.set()
    two = request(num_samples=2)
    ahead.ask(4, 0, two)
    ahead.save(tmp_path, rank=0)
    other = AheadEngine(Engine())
    other.load(tmp_path, rank=1)
    assert other.version(4, two, otherwise=9) == 9
    other.load(tmp_path, rank=0)
    assert other.version(4, two, otherwise=9) == 0
    assert other.generate([[5]], 2, [11]) == ahead.generate([[5]], 2, [11])
    assert other.engine.calls == 0
