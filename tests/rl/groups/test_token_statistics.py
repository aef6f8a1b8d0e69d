"""Token statistics: by hand, against the plain logits of a real model, and where answers stand."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_vision
import torch
from accelerate import Accelerator

import rl.groups.token_statistics as token_statistics
from rl.data.image_inputs import ImageInputs
from rl.data.images import read_image
from rl.errors import InputError
from rl.groups.token_statistics import (
    MAX_CHUNK_LOGITS,
    add_statistics,
    add_token_statistics,
    find_answer_tokens,
    logit_statistics,
    measure_tokens,
    top_confidence,
)
from rl.rollouts.engine import Sample
from rl.types import Group, Rollout

ROWS = [([2, 3, 4], [5, 6, 1]), ([7], [8, 9, 2, 3, 1]), ([2, 2], [1])]


def test_a_uniform_distribution():
    logps, entropies, certainties = logit_statistics(torch.zeros(2, 4), torch.tensor([0, 3]))
    assert logps.tolist() == pytest.approx([-math.log(4)] * 2)
    assert entropies.tolist() == pytest.approx([math.log(4)] * 2)
    assert certainties.tolist() == pytest.approx([0.0] * 2, abs=1e-6)


def test_a_certain_distribution():
    logits = torch.tensor([[0.0, -math.inf]])
    logps, entropies, certainties = logit_statistics(logits, torch.tensor([0]))
    assert (logps.item(), entropies.item(), certainties.item()) == (0.0, 0.0, math.inf)


def test_statistics_by_hand():
    # p = (3/4, 1/4). Entropy 3/4 log(4/3) + 1/4 log 4 = 0.5623. KL(uniform || p) =
    # 1/2 log(1/2 / 3/4) + 1/2 log(1/2 / 1/4) = 1/2 log(2/3) + 1/2 log 2 = 0.1438.
    logits = torch.tensor([[math.log(3.0), 0.0]]) + 7.0
    logps, entropies, certainties = logit_statistics(logits, torch.tensor([1]))
    assert logps.item() == pytest.approx(-math.log(4))
    assert entropies.item() == pytest.approx(0.5623, abs=1e-4)
    assert certainties.item() == pytest.approx(0.1438, abs=1e-4)


def test_confidence_by_hand():
    # Of ten alike each has 1/10: -log(1/10), whatever the number; of two, over both of them.
    assert top_confidence(torch.zeros(1, 10)).tolist() == pytest.approx([math.log(10)])
    # p = (3/4, 1/4): -(log 3/4 + log 1/4) / 2 = 0.8370; the likeliest alone -log 3/4 = 0.2877.
    logits = torch.tensor([[math.log(3.0), 0.0]]) + 7.0
    assert top_confidence(logits).item() == pytest.approx(0.8370, abs=1e-4)
    assert top_confidence(logits, 1).item() == pytest.approx(0.2877, abs=1e-4)
    assert top_confidence(torch.tensor([[0.0, -math.inf]])).item() == math.inf


def expected_of(model, prompt_ids, completion_ids, temperature):
    with torch.no_grad():
        logits = model(torch.tensor([prompt_ids + completion_ids])).logits[0]
    at = slice(len(prompt_ids) - 1, len(prompt_ids) + len(completion_ids) - 1)
    found = logit_statistics(logits[at] / temperature, torch.tensor(completion_ids))
    return [values.tolist() for values in found]


@pytest.mark.parametrize("batch_size", [1, 2, 8])
@pytest.mark.parametrize("max_logits", [1, 1 << 25])
def test_a_model_measures_what_its_logits_say(make_tiny_model, monkeypatch, batch_size, max_logits):
    monkeypatch.setattr(token_statistics, "MAX_CHUNK_LOGITS", max_logits)
    model = make_tiny_model()
    expected = [expected_of(model, *row, temperature=0.7) for row in ROWS]
    add_token_statistics(model, temperature=0.7)
    found = measure_tokens(model, Accelerator(cpu=True), ROWS, 0, batch_size)
    assert [len(values[0]) for values in found] == [3, 5, 1]
    for values, wanted in zip(found, expected, strict=True):
        for measured, right in zip(values, wanted, strict=True):
            assert measured == pytest.approx(right, abs=1e-5)


def test_confidences_are_a_fourth_row(make_tiny_model):
    model = make_tiny_model()
    with torch.no_grad():
        logits = model(torch.tensor([ROWS[0][0] + ROWS[0][1]])).logits[0, 2:5] / 0.7
    add_token_statistics(model, temperature=0.7)
    arguments = model, Accelerator(cpu=True), ROWS, 0, 2
    plain, more = measure_tokens(*arguments), measure_tokens(*arguments, with_confidence=True)
    assert [row[:3] for row in more] == plain
    assert more[0][3] == pytest.approx(top_confidence(logits).tolist(), abs=1e-5)


def test_the_model_is_otherwise_as_before(make_tiny_model):
    model, ids = make_tiny_model(), torch.tensor([[2, 3, 4]])
    before = model(ids).logits
    add_token_statistics(model, temperature=1.0)
    assert model(ids).logits.equal(before)
    assert model.generate(ids, max_new_tokens=2, do_sample=False).shape == (1, 5)


def test_no_rows(make_tiny_model):
    model = make_tiny_model()
    add_token_statistics(model, temperature=1.0)
    assert measure_tokens(model, Accelerator(cpu=True), [], 0, 4) == []


def test_a_rank_with_fewer_batches_runs_the_vision_tower_as_often_as_the_others(monkeypatch):
    model, inputs = tiny_vision.make_model(), ImageInputs(tiny_vision.make_processor())
    add_token_statistics(model, 1.0)
    image = read_image(tiny_vision.picture(0), "here")
    rows = [(inputs.prompt_ids("<image>1=", [image]), [3, 4])]
    seen = []
    model.model.vision_model.register_forward_hook(lambda *_: seen.append(1))
    arguments = (model, Accelerator(cpu=True), rows, 0, 1, False, [[image]], inputs)
    alone = measure_tokens(*arguments)
    monkeypatch.setattr(token_statistics, "gather_object", lambda found: [*found, 3])
    assert measure_tokens(*arguments) == alone
    assert len(seen) == 1 + 3


def test_an_architecture_that_changes_its_logits_is_refused(make_tiny_model):
    model = make_tiny_model()
    model.config.final_logit_softcapping = 30.0
    with pytest.raises(InputError, match="model: got an architecture with final_logit_softcapping"):
        add_token_statistics(model, temperature=1.0)


@pytest.mark.parametrize(
    ("pieces", "answer", "expected"),
    [
        ([], "1", ""),
        (["1", "2"], None, "00"),
        (["1", "2"], "3", "00"),
        (["12", ";", "1", "2", ""], "12", "00110"),  # the last occurrence
        (["x1", "2y"], "12", "11"),
    ],
)
def test_where_an_answer_stands(pieces, answer, expected):
    assert find_answer_tokens(pieces, answer) == tuple(digit == "1" for digit in expected)


def test_groups_are_filled_in(make_tiny_model, tiny_tokenizer):
    model = make_tiny_model()
    add_token_statistics(model, temperature=1.0)
    ids = [*tiny_tokenizer("1+1=2")["input_ids"], 1]
    group = Group(
        prompt_id="p",
        prompt="0=",
        rollouts=(Rollout(completion="1+1=2", answer="2"), Rollout(completion="")),
    )
    samples = [Sample(completion_ids=tokens, truncated=False) for tokens in (ids, [1])]
    [filled] = add_statistics(
        [group],
        [(tiny_tokenizer("0=")["input_ids"], samples)],
        model=model,
        accelerator=Accelerator(cpu=True),
        tokenizer=tiny_tokenizer,
        batch_size=4,
    )
    first, second = (rollout.token_statistics for rollout in filled.rollouts)
    assert first.in_answer == (False,) * 4 + (True, False)  # the end token writes nothing
    assert second.in_answer == (False,)
    assert len(first.logps) == len(first.entropies) == len(first.self_certainties) == 6
    assert all(logp <= 0 for logp in first.logps)
    assert group.rollouts[0].token_statistics is None


@pytest.mark.medium
def test_peak_memory_of_a_step_stays_below_its_bound():
    # 151,936 tokens never meet all rows and positions at once.
    num_rows, length, vocabulary = 4, 256, 151_936
    tile = 32_768  # columns of the vocabulary in one tile of TRL's output head
    float32 = 4  # bytes
    script = Path(__file__).with_name("memory_session.py")
    result = subprocess.run(
        [sys.executable, str(script), str(num_rows), str(length), str(vocabulary)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    peaks = json.loads(result.stdout.splitlines()[-1])
    # A few copies of one chunk, however many rows and positions there are.
    assert peaks["token statistics"] < 5 * MAX_CHUNK_LOGITS * float32
    # Forward and backward pass of the loss hold copies of one tile, and no tensor over them all.
    assert peaks["loss"] < 12 * num_rows * length * tile * float32
