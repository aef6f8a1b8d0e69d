"""What is asked for ahead is sampled meanwhile, by the policy it was asked of, and used once."""

import socket
import threading
import time
from importlib.util import find_spec

import pytest

from rl.rollouts.ahead_engine import AheadEngine, Asked
from rl.rollouts.engine import Sample, SamplingSettings, with_settings
from rl.rollouts.vllm_server import ServerProcess, server_command, wait_until_up
from rl.rollouts.vllm_server_engine import VLLMServerEngine


class Engine:
    """Answers with its version and the seed, once a prompt's event is set."""

    def __init__(self):
        self.settings = SamplingSettings(max_completion_length=4)
        self.version, self.calls = 0, []
        self.may = {number: threading.Event() for number in range(10)}
        self.closed = False

    def generate(self, prompt_ids, num_samples, seeds, first_sample=0):
        self.calls.append(seeds)
        for [number] in prompt_ids:
            assert self.may[number].wait(10)
        length = self.settings.max_completion_length
        return [
            [Sample(completion_ids=[self.version, seed, length], truncated=False)] * num_samples
            for seed in seeds
        ]

    def sync_weights(self):
        self.version += 1

    def close(self):
        self.closed = True

    def let(self, *numbers):
        for number in numbers:
            self.may[number].set()


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture(params=[False, True], ids=["whole", "carried over"])
def ahead(request, engine):
    found = AheadEngine(engine, carries_over=request.param)
    yield found
    engine.let(*engine.may)
    found.close()
    assert engine.closed


def asked_for(position, seed=None, batch=0, num_samples=1):
    seed = position if seed is None else seed
    return Asked(
        position=position,
        row=position,
        batch=batch,
        version=batch,
        seed=seed,
        num_samples=num_samples,
    )


def ask(ahead, *positions, batch=0, num_samples=1):
    asked = [asked_for(p, p + 100, batch, num_samples) for p in positions]
    ahead.ask(asked, [[p] for p in positions])


def positions(taken):
    return [one.position for one in taken]


def ids(samples):
    return [[sample.completion_ids for sample in row] for row in samples]


def test_nothing_asked_for(engine, ahead):
    engine.let(5)
    assert ahead.take(0, 9, 9) == []
    ahead.settle()
    ahead.forget()
    assert ids(ahead.generate([[5]], 2, [11])) == [[[0, 11, 4]] * 2]
    assert ahead.generate([], 1, []) == []


def test_it_is_sampled_meanwhile_and_used_once(engine, ahead):
    ask(ahead, 1, 2, num_samples=2)  # and the caller goes on
    engine.let(1, 2)
    assert positions(ahead.take(2, 9, -1)) == [1, 2]
    assert ahead.asked == []
    ahead.sync_weights()
    calls = len(engine.calls)
    assert ids(ahead.generate([[1], [2]], 2, [101, 102])) == [[[0, 101, 4]] * 2, [[0, 102, 4]] * 2]
    assert len(engine.calls) == calls
    assert ids(ahead.generate([[1]], 2, [101])) == [[[1, 101, 4]] * 2]


def test_weights_wait_for_whole_completions_alone(engine):
    ahead = AheadEngine(engine)
    ask(ahead, 1, 2)
    assert engine.calls == [[101, 102]]
    threading.Timer(0.1, engine.let, (1, 2)).start()
    ahead.sync_weights()
    assert all(one.samples.done() for one in ahead.asked)
    carries = AheadEngine(engine, carries_over=True)
    ask(carries, 3, 4)
    carries.sync_weights()
    assert not any(one.samples.done() for one in carries.asked)
    engine.let(3, 4)
    # Completions of the new weights, and it is known that they began with the old ones.
    [one, _] = carries.take(2, 9, -1)
    assert (one.version, ids(carries.generate([[3]], 1, [103]))) == (0, [[[2, 103, 4]]])


def test_finished_prompts_come_first_but_those_that_are_due(engine):
    ahead = AheadEngine(engine, carries_over=True)
    ask(ahead, 0, 1, 2, 3)
    engine.let(1, 3)
    # 3 is not to be taken yet, 0 and 2 are not there.
    threading.Timer(0.1, engine.let, (2,)).start()
    assert positions(ahead.take(2, before_position=3, due_batch=-1)) == [1, 2]
    ask(ahead, 4, 5, batch=1)
    engine.let(4, 5)
    # 0 was asked for at batch 0, which is due, so it is waited for.
    threading.Timer(0.1, engine.let, (0,)).start()
    assert positions(ahead.take(2, before_position=6, due_batch=0)) == [0, 3]
    assert positions(ahead.take(2, before_position=6, due_batch=0)) == [4, 5]
    with pytest.raises(RuntimeError, match="asked for: got 0, expected 1"):
        ahead.take(1, before_position=6, due_batch=0)


@pytest.mark.parametrize(
    ("seeds", "num_samples", "first"), [([101, 103], 2, 0), ([101], 3, 0), ([101, 102], 2, 2)]
)
def test_another_call_is_sampled_at_once(engine, ahead, seeds, num_samples, first):
    engine.let(1, 2)
    ask(ahead, 1, 2, num_samples=2)
    ahead.take(2, 9, -1)
    ahead.sync_weights()
    found = ahead.generate([[1], [2]][: len(seeds)], num_samples, seeds, first)
    assert ids(found)[0][0][0] == 1
    assert ids(ahead.generate([[1], [2]], 2, [101, 102]))[0][0][0] == 0


def test_a_copy_with_other_settings_leaves_it_alone(engine, ahead):
    engine.let(1, 7)
    ask(ahead, 1)
    greedy = with_settings(ahead, SamplingSettings(max_completion_length=2))
    assert ids(greedy.generate([[7]], 1, [3])) == [[[0, 3, 2]]]
    ahead.take(1, 9, -1)
    assert ids(ahead.generate([[1]], 1, [101])) == [[[0, 101, 4]]]


def test_what_is_given_up_is_sampled_anew(engine, ahead):
    engine.let(1)
    ask(ahead, 1)
    ahead.next_position = 2
    ahead.forget()
    engine.sync_weights()
    # What is after it is not asked for twice, and it is asked for again.
    assert (ahead.asked, ahead.next_position, ahead.forgotten) == ([], 2, [1])
    assert ids(ahead.generate([[1]], 1, [101])) == [[[1, 101, 4]]]


def test_what_is_given_up_is_waited_for_or_aborted(engine, ahead):
    ask(ahead, 1, 2)
    threading.Timer(0.1, engine.let, (1, 2)).start()
    given_up = [one.samples for one in ahead.asked]
    ahead.forget()
    assert all(samples.done() for samples in given_up)
    # Asked to, the engine ends what it has; what it had not yet taken it is asked to again.
    aborted = []
    engine.abort_requests = lambda: (aborted.append(1), engine.let(2 + len(aborted)))
    ask(ahead, 3, 4)
    started = time.monotonic()
    ahead.forget()
    assert time.monotonic() - started < 5  # the engine itself waits 10 seconds
    assert (ahead.asked, len(aborted)) == ([], 2)


def test_what_the_engine_raises_reaches_the_caller_and_no_checkpoint(engine, ahead, tmp_path):
    ask(ahead, 11)  # there is no such event
    layout = {"num_ranks": 1}
    ahead.save(tmp_path, 0, layout)
    other = AheadEngine(engine)
    other.load(tmp_path, 0, layout)
    other.save(tmp_path, 0, layout)  # it stays lost
    other.load(tmp_path, 0, layout)
    # It is known that the prompt was asked for, and it is sampled when its batch is due.
    assert positions(other.take(1, 99, -1)) == [11]
    engine.let(5)
    assert ids(other.generate([[5]], 1, [111])) == [[[0, 111, 4]]]
    with pytest.raises(KeyError, match="11"):
        ahead.take(1, 99, -1)


def test_a_checkpoint_holds_it(engine, ahead, tmp_path, caplog):
    engine.let(4, 5)
    ask(ahead, 4, 5, batch=3, num_samples=2)
    ahead.next_position, ahead.forgotten = 6, [2]
    ahead.save(tmp_path, 0, {"num_ranks": 2})
    other = AheadEngine(Engine())
    other.load(tmp_path, 1, {"num_ranks": 2})  # of which there is no file
    assert (other.asked, other.next_position) == ([], None)
    other.load(tmp_path, 0, {"num_ranks": 3})
    assert (other.asked, other.next_position, other.forgotten) == ([], None, [])
    assert "asked for again with {'num_ranks': 3}" in caplog.text
    other.load(tmp_path, 0, {"num_ranks": 2})
    assert (positions(other.asked), other.next_position) == ([4, 5], 6)
    assert other.forgotten == [2]
    assert other.num_open(5) == 1
    assert [(one.batch, one.version) for one in other.take(2, 9, -1)] == [(3, 3)] * 2
    assert ids(other.generate([[4], [5]], 2, [104, 105])) == [
        [[0, 104, 4]] * 2,
        [[0, 105, 4]] * 2,
    ]
    assert other.engine.calls == []


@pytest.mark.slow
@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")
def test_a_vllm_server_aborts_what_is_given_up(tiny_model_folder, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = server_command(tiny_model_folder, port, dtype="float32", max_model_len=64)
    with ServerProcess(command, tmp_path / "server.log", "key") as server:
        wait_until_up(f"http://127.0.0.1:{port}", 300, server)
        settings = SamplingSettings(max_completion_length=56)
        engine = VLLMServerEngine(f"http://127.0.0.1:{port}", settings, key="key")
        prompts = [[3 + i % 9, 4 + i // 9, 5] for i in range(96)]
        expected = engine.generate(prompts, 16, list(range(96)))
        ahead = AheadEngine(engine, carries_over=True)
        ahead.ask(given_up := [asked_for(i, num_samples=16) for i in range(96)], prompts)
        ahead.forget()
        # Some were not finished: of these fewer tokens came back, or none.
        found = [[] if o.samples.exception() else o.samples.result() or [] for o in given_up]
        assert num_tokens(found) < num_tokens(expected)
        # The server goes on as before.
        again = engine.generate(prompts[:2], 16, [0, 1])
        assert ids(again) == ids(expected[:2])
        engine.close()


def num_tokens(samples):
    return sum(len(sample.completion_ids) for row in samples for sample in row)
