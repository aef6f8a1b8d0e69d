"""Sampling with the model itself: what one sample depends on, and which distribution it is from."""

from collections import Counter
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import tiny_vision
import torch

from rl.data.image_inputs import ImageInputs
from rl.data.images import read_image
from rl.errors import InputError
from rl.rollouts.engine import SamplingSettings, with_settings
from rl.rollouts.transformers_engine import (
    TransformersEngine,
    _splitmix64,
    end_token_ids,
    uniform_noise,
)

PROMPTS = [[3, 4, 5], [6, 7, 8, 9, 10], [11]]
SEEDS = [11, 12, 2**63 - 1]


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    # Threads cost more than they bring where a layer is 64 wide.
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


@pytest.fixture(scope="module")
def model(make_tiny_model):
    # Random weights give nearly equal logits; larger ones tell tokens apart.
    model = make_tiny_model(tied=False)
    with torch.no_grad():
        model.lm_head.weight.mul_(8.0)
    return model


@pytest.fixture
def make_engine(model, tiny_tokenizer):
    def make(batch_size=256, generation_context=None, **settings):
        settings = SamplingSettings(**{"max_completion_length": 12, **settings})
        return TransformersEngine(
            model,
            tiny_tokenizer,
            settings,
            batch_size=batch_size,
            generation_context=generation_context,
        )

    return make


def test_batches_hold_as_many_rows_as_there_is_room_for(make_engine):
    engine = make_engine(batch_size=3, max_completion_length=2)
    engine.max_positions = 20
    # Three rows of up to 2 + 2; two of 8 + 2; 19 + 2 are more than 20.
    lengths = [8, 2, 19, 1, 2, 8]
    assert list(engine._batches(lengths)) == [[3, 1, 4], [0, 5], [2]]
    # Rows of 8 + 2 leave no room beside two shorter ones.
    assert list(engine._batches([2, 2, 8])) == [[0, 1], [2]]
    assert list(engine._batches([])) == []


def ids(samples):
    return [[sample.completion_ids for sample in group] for group in samples]


def next_token_probabilities(model, prompt, temperature=1.0):
    with torch.no_grad():
        logits = model(torch.tensor([prompt])).logits[0, -1].double()
    return torch.softmax(logits / temperature, dim=0)


# Noise.


def test_the_mixing_function_is_splitmix64():
    # First outputs of the published generator from the state 1234567; the state grows by gamma.
    gamma = 0x9E3779B97F4A7C15
    states = [(1234567 + i * gamma) % 2**64 for i in range(3)]
    signed = torch.tensor([state - 2**64 if state >= 2**63 else state for state in states])
    found = [value % 2**64 for value in _splitmix64(signed).tolist()]
    assert found == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_noise_is_a_function_of_seed_step_and_column():
    seeds = torch.tensor([0, 1, 2**63 - 1])
    noise = uniform_noise(seeds, step=4, size=6)
    assert noise.shape == (3, 6)
    assert torch.equal(uniform_noise(seeds[1:2], step=4, size=9)[0, :6], noise[1])
    assert not torch.equal(uniform_noise(seeds, step=5, size=6), noise)


def test_noise_is_uniform():
    noise = uniform_noise(torch.arange(1000), step=0, size=100)
    assert noise.min() > 0
    assert noise.max() < 1
    # 100,000 draws, 10,000 in each tenth, standard deviation 95.
    counts = torch.histc(noise, bins=10, min=0, max=1)
    assert (counts - 10_000).abs().max() < 5 * 95
    # Neighbours, in columns and in seeds, are not alike: correlation 0 with deviation 0.003.
    for left, right in ((noise[:, :-1], noise[:, 1:]), (noise[:-1], noise[1:])):
        pairs = torch.stack([left.flatten(), right.flatten()])
        assert torch.corrcoef(pairs)[0, 1].abs() < 5 * 0.0033


# What a sample depends on.


def test_torch_seeds_do_not_matter(make_engine):
    torch.manual_seed(0)
    first = ids(make_engine().generate(PROMPTS, 2, SEEDS))
    torch.manual_seed(1)
    state = torch.get_rng_state()
    assert ids(make_engine().generate(PROMPTS, 2, SEEDS)) == first
    assert torch.equal(torch.get_rng_state(), state)


def test_seeds_must_match_the_prompts(make_engine):
    with pytest.raises(ValueError, match="zip"):
        make_engine().generate(PROMPTS, 2, SEEDS[:2])


# Ends.


def test_every_declared_end_token_counts(model, tiny_tokenizer):
    declared = model.generation_config.eos_token_id
    try:
        for given, expected in (([7, 1], [1, 7]), (7, [1, 7]), (None, [1])):
            model.generation_config.eos_token_id = given
            assert end_token_ids(model, tiny_tokenizer) == expected
        model.generation_config.eos_token_id = [7]
        engine = TransformersEngine(
            model, tiny_tokenizer, SamplingSettings(max_completion_length=12)
        )
        samples = engine.generate(PROMPTS, 64, SEEDS)
        last = {s.completion_ids[-1] for g in samples for s in g if not s.truncated}
        assert last == {1, 7}
    finally:
        model.generation_config.eos_token_id = declared


# The distribution.


def greedy(model, prompt, length, end=1):
    tokens = []
    while len(tokens) < length and end not in tokens:
        tokens.append(next_token_probabilities(model, prompt + tokens).argmax().item())
    return tokens


@pytest.mark.parametrize("settings", [{"temperature": 0.0}, {"top_k": 1}, {"temperature": 1e-4}])
def test_greedy(make_engine, model, settings):
    expected = [[greedy(model, prompt, 12)] * 2 for prompt in PROMPTS]
    assert ids(make_engine(**settings).generate(PROMPTS, 2, SEEDS)) == expected


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_tokens_come_from_the_policy(make_engine, model, temperature):
    num_samples = 4000
    engine = make_engine(max_completion_length=1, temperature=temperature, batch_size=1000)
    [samples] = engine.generate([PROMPTS[0]], num_samples, [5])
    counts = Counter(sample.completion_ids[0] for sample in samples)
    expected = next_token_probabilities(model, PROMPTS[0], temperature)
    # Frequencies within five standard deviations of the probabilities.
    for token, probability in enumerate(expected.tolist()):
        deviation = (probability * (1 - probability) / num_samples) ** 0.5
        assert abs(counts[token] / num_samples - probability) <= 5 * deviation + 1 / num_samples


@pytest.mark.parametrize("settings", [{"top_k": 3}, {"top_p": 0.3}, {"min_p": 0.5}])
def test_what_is_cut_off_is_never_sampled(make_engine, model, settings):
    probabilities = next_token_probabilities(model, PROMPTS[0])
    ranked = probabilities.argsort(descending=True).tolist()
    cumulative = probabilities[ranked].cumsum(0)
    kept = {
        "top_k": set(ranked[:3]),
        # The smallest set that reaches 0.3: all tokens before which less than 0.3 is covered.
        "top_p": {
            t for t, c in zip(ranked, cumulative - probabilities[ranked], strict=True) if c < 0.3
        },
        "min_p": {t for t in ranked if probabilities[t] >= 0.5 * probabilities.max()},
    }[next(iter(settings))]
    [samples] = make_engine(max_completion_length=1, **settings).generate([PROMPTS[0]], 500, [5])
    assert {sample.completion_ids[0] for sample in samples} == kept
    assert 1 < len(kept) < len(ranked)


def test_a_repetition_penalty_avoids_what_was_there(make_engine):
    def num_repeats(engine):
        samples = [s.completion_ids for g in engine.generate(PROMPTS, 64, SEEDS) for s in g]
        return sum(len(tokens) - len(set(tokens)) for tokens in samples)

    assert num_repeats(make_engine(repetition_penalty=3.0)) < num_repeats(make_engine()) / 2


def test_what_the_model_recommends_for_sampling_is_not_used(make_engine, model):
    # As the generation settings of Qwen2.5-Instruct do, with 1.05 to 1.1.
    samples = ids(make_engine().generate(PROMPTS, 4, SEEDS))
    model.generation_config.repetition_penalty = 3.0
    try:
        assert ids(make_engine().generate(PROMPTS, 4, SEEDS)) == samples
    finally:
        model.generation_config.repetition_penalty = None


# The model it borrows.


def test_the_model_is_left_as_it_was(make_engine, model):
    for training in (True, False):
        model.train(training)
        make_engine().generate(PROMPTS, 1, SEEDS)
        assert model.training is training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_context_makes_the_model_ready(make_engine, model):
    events = []

    @contextmanager
    def context():
        events.append("in")
        yield model
        events.append("out")

    engine = make_engine(generation_context=context)
    engine.generate(PROMPTS, 1, SEEDS)
    assert events == ["in", "out"]


def test_weights_need_no_sync(make_engine, model):
    engine = make_engine()
    before = ids(engine.generate(PROMPTS, 4, SEEDS))
    weight = model.lm_head.weight
    saved = weight.detach().clone()
    try:
        with torch.no_grad():
            weight.copy_(saved.flip(0))
        engine.sync_weights()
        assert ids(engine.generate(PROMPTS, 4, SEEDS)) != before
    finally:
        with torch.no_grad():
            weight.copy_(saved)
    engine.close()
    assert ids(engine.generate(PROMPTS, 4, SEEDS)) == before


# Images.


@pytest.fixture(scope="module", params=["whole", "tiles"])
def vision(request):
    """A tiny vision-language model, its inputs, and prompts with one, no and two pictures."""
    inputs = ImageInputs(tiny_vision.make_processor(splits=request.param == "tiles"))
    images = [
        [read_image(tiny_vision.picture(n), "test") for n in own] for own in ([0], [], [1, 2])
    ]
    texts = ["1+1=<image>", "3=", "<image>4<image>="]
    ids = [inputs.prompt_ids(text, own) for text, own in zip(texts, images, strict=True)]
    model = tiny_vision.make_model()
    settings = SamplingSettings(max_completion_length=6)
    engine = TransformersEngine(model, inputs.processor.tokenizer, settings, image_inputs=inputs)
    return SimpleNamespace(engine=engine, ids=ids, images=images)


def drawn(engine, *arguments, **more):
    return [[s.completion_ids for s in group] for group in engine.generate(*arguments, **more)]


def test_prompts_with_images_are_continued_as_the_model_sees_them(vision):
    engine, model = vision.engine, vision.engine.model
    greedy = with_settings(engine, SamplingSettings(max_completion_length=4, temperature=0.0))
    found = drawn(greedy, vision.ids, 2, [1, 2, 3], images=vision.images)
    for ids, own, samples in zip(vision.ids, vision.images, found, strict=True):
        tokens = list(ids)
        for _ in range(4):
            pixels = engine.image_inputs.pixels(own)
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([tokens]), **pixels).logits[0, -1]
            logits[engine.never_sampled] = -torch.inf
            tokens.append(int(logits.argmax()))
            if tokens[-1] in engine.eos_token_ids:
                break
        assert samples == [tokens[len(ids) :]] * 2


def test_a_sample_depends_on_its_own_images_alone(vision):
    engine, ids, images = vision.engine, vision.ids, vision.images
    whole = drawn(engine, ids, 4, [1, 2, 3], images=images)
    assert drawn(engine, ids[::-1], 4, [3, 2, 1], images=images[::-1])[::-1] == whole
    alone = [drawn(engine, [ids[i]], 4, [i + 1], images=[images[i]])[0] for i in range(3)]
    assert alone == whole
    # One sample of each runs the prompts without a cache of their own.
    assert drawn(engine, ids, 1, [1, 2, 3], images=images) == [group[:1] for group in whole]
    # The same tokens with other pictures.
    other = [images[2][:1], [], images[2]]
    assert drawn(engine, ids, 4, [1, 2, 3], images=other)[1:] == whole[1:]


def test_pixels_are_run_once_for_all_samples_of_a_prompt(vision):
    seen = []
    encoder = vision.engine.model.model.vision_model
    hook = encoder.register_forward_hook(lambda _, inputs, output: seen.append(len(output[0])))
    vision.engine.generate(vision.ids, 8, [1, 2, 3], images=vision.images)
    hook.remove()
    num_views = 1 if len(vision.ids[0]) < 15 else 5
    assert seen == [3 * num_views]


def test_no_completion_has_a_token_that_stands_for_an_image(vision):
    assert vision.engine.never_sampled
    samples = vision.engine.generate(vision.ids[1:2], 64, [5])
    tokens = {token for group in samples for s in group for token in s.completion_ids}
    assert not tokens & {*vision.engine.never_sampled}


def test_images_are_refused_by_a_model_of_text_alone(make_tiny_model, tiny_tokenizer, vision):
    settings = SamplingSettings(max_completion_length=2)
    engine = TransformersEngine(make_tiny_model(), tiny_tokenizer, settings)
    with pytest.raises(InputError, match="for a model of text alone"):
        engine.generate([[3]], 1, [1], images=vision.images[:1])
