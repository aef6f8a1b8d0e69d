"""Every prompt of a run is asked for once and trained once, at most max_staleness batches late."""

import threading
from functools import partial
from itertools import chain
from random import Random
from types import SimpleNamespace

import pytest
import torch

from rl.rollouts.ahead_engine import FILE, AheadEngine, Request
from rl.rollouts.engine import Sample, SamplingSettings
from rl.training import prompts_ahead
from rl.training.other_ranks import deal_anew
from rl.training.prompt_order import PromptSampler
from rl.training.prompts_ahead import PromptsAhead

NUM_PROMPTS, NUM_GENERATIONS, NUM_BATCHES = 6, 4, 7


class Engine:
    """Takes as long over a prompt as a random number says."""

    def __init__(self):
        self.settings = SamplingSettings(max_completion_length=4)
        self.random = Random(0)
        self.calls = []

    def generate(self, prompt_ids, num_samples, seeds):
        self.calls.append(seeds)
        threading.Event().wait(self.random.random() / 50)
        sample = Sample(completion_ids=[1], truncated=False)
        return [[sample] * num_samples for _ in seeds]

    def sync_weights(self):
        pass


class Source:
    def request(self, examples, policy, index):
        seeds = [100 * index + example["row"] for example in examples]
        return Request(prompt_ids=[[seed] for seed in seeds], num_samples=2, seeds=seeds)


ROWS = [{"row": number} for number in range(NUM_PROMPTS * 3)]


def settings(max_staleness):
    return SimpleNamespace(
        num_prompts=NUM_PROMPTS,
        num_generations=NUM_GENERATIONS,
        num_iterations=1,
        steps_per_generation=1,
        shuffle_dataset=True,
        seed=3,
        max_staleness=max_staleness,
    )


def start(max_staleness, num_ranks):
    return [
        PromptsAhead(
            rows=ROWS,
            source=Source(),
            engine=AheadEngine(Engine(), carries_over=max_staleness > 1),
            num_batches=NUM_BATCHES,
        )
        for _ in range(num_ranks)
    ]


def run(
    max_staleness,
    num_ranks,
    monkeypatch,
    before=lambda index, ranks: None,
    indices=range(NUM_BATCHES),
):
    """Play a run on ranks that take turns; return the inputs and versions of its batches.

    `before` is called before each of the `indices`, and may put other ranks into the list.
    """
    config = settings(max_staleness)
    ranks = start(max_staleness, num_ranks)
    given = []
    for index in indices:
        before(index, ranks)
        num_ranks = len(ranks)
        policies = [
            SimpleNamespace(
                accelerator=SimpleNamespace(process_index=rank, num_processes=num_ranks),
                config=config,
                version=index,
            )
            for rank in range(num_ranks)
        ]
        gathered = []

        def gather(part, gathered=gathered, num_ranks=num_ranks):
            gathered.extend(part)
            return gathered if len(gathered) == num_ranks else part * NUM_PROMPTS

        # Once to hear what every rank chose, then with all of it, as of a gather of all ranks.
        monkeypatch.setattr(prompts_ahead, "gather_object", gather)
        num_rows = NUM_PROMPTS * NUM_GENERATIONS // num_ranks
        parts = [
            ahead.next_batch(policy, index, num_rows)
            for ahead, policy in zip(ranks, policies, strict=True)
        ]
        given.append((gathered, parts[-1]))
    return ranks, given


@pytest.mark.parametrize("num_ranks", [1, 2, 3])
@pytest.mark.parametrize("max_staleness", [1, 2, 3])
def test_every_prompt_is_trained_once_and_in_time(max_staleness, num_ranks, monkeypatch):
    ranks, given = run(max_staleness, num_ranks, monkeypatch)
    trained = [chain.from_iterable(gathered) for gathered, _ in given]
    trained = [[(row, batch, version) for row, batch, version in part] for part in trained]
    assert {len(part) for part in trained} == {NUM_PROMPTS}
    # Each of the 18 prompts once an epoch of three batches.
    visits = [(batch // 3, row) for part in trained for row, batch, _ in part]
    assert len(set(visits)) == len(visits) == NUM_PROMPTS * NUM_BATCHES
    late = [n - version for n, part in enumerate(trained) for _, _, version in part]
    assert max(late) <= max_staleness
    assert set(late[NUM_PROMPTS:]) >= {1}
    asked = [seeds for ahead in ranks for seeds in ahead.engine.engine.calls]
    assert len(list(chain.from_iterable(asked))) == NUM_PROMPTS * NUM_BATCHES
    assert all(ahead.engine.asked == [] for ahead in ranks)
    if max_staleness == 1:
        assert [sorted(batch for _, batch, _ in part) for part in trained] == [
            [n] * NUM_PROMPTS for n in range(NUM_BATCHES)
        ]
    else:
        assert any(batch != n for n, part in enumerate(trained) for _, batch, _ in part)
        assert 2 in late


def test_rows_lie_where_they_are_sampled(monkeypatch):
    _, given = run(2, 2, monkeypatch)
    for [first, second], (inputs, version) in given:
        in_order = [*first, *second]
        expected = [pair for pair in in_order for _ in range(NUM_GENERATIONS)][12:]
        assert [(i["row"], i["batch"], i["version"]) for i in inputs] == expected
        assert version == min(version for _, _, version in in_order)


def test_a_batch_is_one_call_where_nothing_is_carried_over(monkeypatch):
    [ahead], _ = run(1, 1, monkeypatch)
    assert [len(seeds) for seeds in ahead.engine.engine.calls] == [NUM_PROMPTS] * NUM_BATCHES


@pytest.mark.parametrize("max_staleness", [1, 2, 3])
def test_what_is_given_up_is_asked_for_again(max_staleness, monkeypatch):
    def roll_back(index, ranks):
        for ahead in ranks if index == 4 else ():
            ahead.engine.forget()

    _, given = run(max_staleness, 2, monkeypatch, roll_back)
    trained = [list(chain.from_iterable(gathered)) for gathered, _ in given]
    visits = [(batch // 3, row) for part in trained for row, batch, _ in part]
    assert len(set(visits)) == len(visits) == NUM_PROMPTS * NUM_BATCHES
    assert all(version >= 4 for part in trained[4:] for _, _, version in part)


@pytest.mark.parametrize("num_ranks", [1, 2])
@pytest.mark.parametrize("max_staleness", [1, 2, 3])
def test_what_is_given_up_within_a_batch_is_asked_for_again(
    max_staleness, num_ranks, monkeypatch, tmp_path
):
    """Half of batch 3 was trained; the other half is of a batch of the policy gone back to."""
    order = PromptSampler.of_run(ROWS, settings(max_staleness))
    layout = {"num_ranks": num_ranks, "num_prompts": NUM_PROMPTS}
    is_seen = []

    def roll_back(index, ranks):
        is_seen.append(index)
        if is_seen.count(3) != 2 or index != 3:
            return
        for rank, ahead in enumerate(ranks):
            ahead.engine.forget(taken_too=True)
            ahead.engine.save(tmp_path, rank, layout)
        # A run that stops here goes on with the same prompts on the same ranks.
        stopped = start(max_staleness, num_ranks)
        for rank, (ahead, whole) in enumerate(zip(stopped, ranks, strict=True)):
            part = {"rank": rank, **layout, "rows_of_batch": order.batch, "is_within": True}
            dealt = partial(deal_anew, **part) if max_staleness > 1 else None
            ahead.engine.load(tmp_path, rank, layout, dealt, must_deal=True)
            assert left_open(ahead) == left_open(whole)

    indices = [0, 1, 2, 3, 3, 4, 5, 6]
    last, given = run(max_staleness, num_ranks, monkeypatch, roll_back, indices)
    del given[3]
    trained = [list(chain.from_iterable(gathered)) for gathered, _ in given]
    visits = [(batch, row) for part in trained for row, batch, _ in part]
    assert sorted(visits) == sorted((n, row) for n in range(NUM_BATCHES) for row in order.batch(n))
    assert all(version >= 3 for part in trained[3:] for _, _, version in part)
    late = [n - version for n, part in enumerate(trained) for _, _, version in part]
    assert max(late) <= max_staleness
    assert all(one.engine.asked == [] for one in last)


def left_open(ahead):
    """What is asked for next; nothing is under way."""
    engine = ahead.engine
    assert engine.asked == []
    return sorted(engine.forgotten), engine.next_position, engine.rows


def test_a_batch_that_was_taken_is_sampled_again(monkeypatch, caplog):
    def lay_out_anew(index, ranks):
        for ahead in ranks if index == 3 else ():  # as where its rows cannot be used
            ahead.engine.take(NUM_PROMPTS, (index + 1) * NUM_PROMPTS, index)

    _, given = run(1, 1, monkeypatch, lay_out_anew)
    batches = [{batch for part in gathered for _, batch, _ in part} for gathered, _ in given]
    assert batches == [{n} for n in range(NUM_BATCHES)]
    assert "batch 3 is sampled again" in caplog.text


@pytest.mark.parametrize("ranks", [(1, 2), (2, 1), (2, 3), (3, 1), (6, 1), (4, 3), (1, 4), (2, 2)])
@pytest.mark.parametrize("max_staleness", [2, 3])
@pytest.mark.parametrize("is_within", [False, True])
def test_on_other_ranks_every_prompt_is_trained_once_and_in_time(
    ranks, max_staleness, is_within, monkeypatch, tmp_path
):
    order = PromptSampler.of_run(ROWS, settings(max_staleness))
    former, later = ranks
    is_seen = []

    def go_on(index, ahead):
        # Before batch 3 a run goes on with other ranks; batch 2 was used up, or comes once more.
        is_seen.append(index)
        if index != (2 if is_within else 3) or is_seen.count(index) != 1 + is_within:
            return
        for rank, one in enumerate(ahead):
            layout = {"num_ranks": former, "num_prompts": NUM_PROMPTS}
            one.engine.save(tmp_path, rank, layout)
        ahead[:] = start(max_staleness, later)
        for rank, one in enumerate(ahead):
            layout = {"num_ranks": later, "num_prompts": NUM_PROMPTS}
            dealt = partial(
                deal_anew,
                rank=rank,
                **layout,
                rows_of_batch=order.batch,
                is_within=is_within,
            )
            one.engine.load(tmp_path, rank, layout, dealt, is_within)

    indices = [*range(3), *([2] if is_within else []), *range(3, NUM_BATCHES)]
    last, given = run(max_staleness, former, monkeypatch, go_on, indices)
    if is_within:
        del given[2], indices[2]  # what the first half of its steps had learned is in the policy
    trained = [list(chain.from_iterable(gathered)) for gathered, _ in given]
    assert {len(part) for part in trained} == {NUM_PROMPTS}
    # Under the names they would have had, and in time.
    visits = [(batch, row) for part in trained for row, batch, _ in part]
    expected = [(n, row) for n in range(NUM_BATCHES) for row in order.batch(n)]
    assert sorted(visits) == sorted(expected)
    late = [n - version for n, part in enumerate(trained) for _, _, version in part]
    assert max(late) <= max_staleness
    assert all(one.engine.asked == [] for one in last)
    # What was sampled is not sampled again, but for a batch whose rows fit no other ranks.
    if not is_within:
        asked = [seed for one in last for seeds in one.engine.engine.calls for seed in seeds]
        of_before = {one["seed"] for rank in range(former) for one in saved(tmp_path, rank)}
        assert of_before
        assert not of_before & set(asked)


def saved(folder, rank):
    """What a rank's file holds of samples."""
    return torch.load(folder / FILE.format(rank=rank), weights_only=True)["asked"]
