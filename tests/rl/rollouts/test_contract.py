"""The contract holds for the engines of this project, and finds what breaks it."""

from dataclasses import replace

import pytest

from rl.rollouts.contract import check_engine
from rl.rollouts.engine import SamplingSettings, with_settings
from rl.rollouts.transformers_engine import TransformersEngine

PROMPTS = [[3, 4, 5], [6, 7, 8, 9, 10], [11]]
SEEDS = [11, 12, 2**63 - 1]
END = [1]


class Broken:
    """A transformers engine whose samples are changed before they are handed out."""

    def __init__(self, engine, change):
        self.engine, self.change, self.settings = engine, change, engine.settings

    def generate(self, prompt_ids, num_samples, seeds, first_sample=0):
        engine = with_settings(self.engine, self.settings)
        return self.change(engine, prompt_ids, num_samples, seeds, first_sample)


def one_too_few(engine, prompt_ids, num_samples, seeds, first_sample):
    return [group[:-1] for group in engine.generate(prompt_ids, num_samples, seeds, first_sample)]


def always_from_the_start(engine, prompt_ids, num_samples, seeds, first_sample):
    return engine.generate(prompt_ids, num_samples, seeds)


def seeds_by_position(engine, prompt_ids, num_samples, seeds, first_sample):
    places = list(range(len(seeds)))
    return engine.generate(prompt_ids, num_samples, places, first_sample)


def without_the_end_token(engine, prompt_ids, num_samples, seeds, first_sample):
    groups = engine.generate(prompt_ids, num_samples, seeds, first_sample)
    return [[replace(s, completion_ids=s.completion_ids[:-1]) for s in g] for g in groups]


def without_stop_strings(engine, prompt_ids, num_samples, seeds, first_sample):
    engine = with_settings(engine, replace(engine.settings, stop_strings=()))
    return engine.generate(prompt_ids, num_samples, seeds, first_sample)


def positive_logps(engine, prompt_ids, num_samples, seeds, first_sample):
    groups = engine.generate(prompt_ids, num_samples, seeds, first_sample)
    return [
        [replace(s, sampling_per_token_logps=[0.5] * len(s.completion_ids)) for s in g]
        for g in groups
    ]


@pytest.fixture(scope="module")
def engine(make_tiny_model, tiny_tokenizer):
    settings = SamplingSettings(max_completion_length=12)
    return TransformersEngine(make_tiny_model(), tiny_tokenizer, settings)


@pytest.mark.parametrize("batch_size", [1, 5, 256])
def test_the_transformers_engine_keeps_it(engine, batch_size):
    engine.batch_size = batch_size
    found = check_engine(engine, PROMPTS, SEEDS, END, engine.tokenizer.decode)
    assert set(found.values()) == {None}
    assert any("stop string" in promise for promise in found)


def test_an_engine_need_not_know_limits_but_keeps_to_them(engine):
    class Deaf(Broken):
        def generate(self, prompt_ids, num_samples, seeds, first_sample=0, max_lengths=None):
            return super().generate(prompt_ids, num_samples, seeds, first_sample)

    promise = "max_lengths cut a completion off where it would go on"
    assert promise in check_engine(engine, PROMPTS, SEEDS, END)
    limited = Broken(engine, lambda engine, *arguments: engine.generate(*arguments))
    assert promise not in check_engine(limited, PROMPTS, SEEDS, END)
    found = check_engine(Deaf(engine, limited.change), PROMPTS, SEEDS, END)
    assert "with at most 1 tokens" in found[promise]


@pytest.mark.parametrize(
    ("change", "promise"),
    [
        (one_too_few, "as many samples of each prompt as asked for"),
        (always_from_the_start, "first_sample goes on where a call stopped"),
        (seeds_by_position, "the order of prompts does not matter"),
        (seeds_by_position, "prompts of a call do not matter to each other"),
        (seeds_by_position, "other seeds give other samples"),
        (without_the_end_token, "an end token ends a completion, and belongs to it"),
        (
            without_the_end_token,
            "a stop string ends a completion, and its last token belongs to it",
        ),
        (
            without_stop_strings,
            "a stop string ends a completion, and its last token belongs to it",
        ),
        (positive_logps, "a log-probability for every token, or none at all"),
    ],
)
def test_what_is_broken_is_named(engine, change, promise):
    found = check_engine(Broken(engine, change), PROMPTS, SEEDS, END, engine.tokenizer.decode)
    assert found[promise] is not None
