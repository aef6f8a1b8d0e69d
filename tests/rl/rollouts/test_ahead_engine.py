"""What is asked for ahead is sampled meanwhile, by the policy it was asked of, and used once."""

import threading

import pytest

from rl.rollouts.ahead_engine import AheadEngine
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


def test_nothing_asked_for(engine, ahead):
    engine.may.set()
    assert ahead.version(3, otherwise=7) == 7
    ahead.finish()
    ahead.forget()
    assert first_ids(ahead.generate([[5]], 2, [11])) == [0, 4]


def test_it_is_sampled_meanwhile_and_used_once(engine, ahead):
    ahead.ask(1, 0, [[5], [6]], 2, [11, 12])
    assert ahead.version(1, otherwise=9) == 0  # and the caller goes on
    engine.may.set()
    ahead.sync_weights()  # waits for it
    assert (engine.calls, engine.version) == (1, 1)
    found = ahead.generate([[5], [6]], 2, [11, 12])
    assert [len(row) for row in found] == [2, 2]
    assert first_ids(found) == [0, 4]  # of the weights before
    assert engine.calls == 1
    assert ahead.version(1, otherwise=9) == 9
    assert first_ids(ahead.generate([[5], [6]], 2, [11, 12])) == [1, 4]


@pytest.mark.parametrize("other", [([11, 13], 2, 0), ([11, 12], 3, 0), ([11, 12], 2, 2)], ids=str)
def test_another_call_is_sampled_at_once(engine, ahead, other):
    engine.may.set()
    ahead.ask(1, 0, [[5], [6]], 2, [11, 12])
    ahead.sync_weights()
    seeds, num_samples, first = other
    assert first_ids(ahead.generate([[5], [6]], num_samples, seeds, first)) == [1, 4]
    assert ahead.version(1, otherwise=9) == 0


def test_a_copy_with_other_settings_leaves_it_alone(engine, ahead):
    engine.may.set()
    ahead.ask(1, 0, [[5]], 1, [11])
    greedy = with_settings(ahead, SamplingSettings(max_completion_length=2))
    assert first_ids(greedy.generate([[7]], 1, [3])) == [0, 2]
    assert first_ids(ahead.generate([[5]], 1, [11])) == [0, 4]


def test_the_next_may_be_asked_for_before_this_one_is_used(engine, ahead):
    engine.may.set()
    ahead.ask(1, 0, [[5]], 1, [11])
    ahead.sync_weights()
    ahead.ask(2, 1, [[6]], 1, [12])
    assert first_ids(ahead.generate([[5]], 1, [11])) == [0, 4]
    assert first_ids(ahead.generate([[6]], 1, [12])) == [1, 4]
    # Samples that nobody fetches mean that two ways to name a batch differ.
    ahead.ask(3, 1, [[7]], 1, [13])
    with pytest.raises(RuntimeError, match=r"batches \[3\] were asked for ahead and are not used"):
        ahead.ask(5, 1, [[8]], 1, [14])


def test_what_is_given_up_is_sampled_anew(engine, ahead):
    engine.may.set()
    ahead.ask(1, 0, [[5]], 1, [11])
    ahead.forget()
    engine.sync_weights()
    assert first_ids(ahead.generate([[5]], 1, [11])) == [1, 4]


def test_what_the_engine_raises_reaches_the_caller(engine, ahead):
    engine.may.set()
    ahead.ask(1, 0, 5, 1, [11])  # no prompts
    with pytest.raises(TypeError, match="not iterable"):
        ahead.finish()


def test_a_checkpoint_holds_it(engine, ahead, tmp_path):
    engine.may.set()
    ahead.ask(4, 0, [[5]], 2, [11])
    ahead.save(tmp_path, rank=0)
    other = AheadEngine(Engine())
    other.load(tmp_path, rank=1)
    assert other.version(4, otherwise=9) == 9
    other.load(tmp_path, rank=0)
    assert other.version(4, otherwise=9) == 0
    assert other.generate([[5]], 2, [11]) == ahead.generate([[5]], 2, [11])
    assert other.engine.calls == 0
