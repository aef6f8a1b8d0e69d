"""A tokenizer of one token per character and an engine that samples from written-down texts."""

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from rl.rollouts.engine import Sample, SamplingSettings


class WrittenEngine:
    """Samples completion i of a prompt from a list, with an end token; records what was asked."""

    settings = SamplingSettings(max_completion_length=64)

    def __init__(self, tokenizer, completions):
        self.tokenizer = tokenizer
        self.completions = completions
        self.calls = []

    def generate(self, prompt_ids, num_samples, seeds, first_sample=0):
        prompts = [self.tokenizer.decode(ids) for ids in prompt_ids]
        self.calls.append((prompts, num_samples, seeds))
        chosen = slice(first_sample, first_sample + num_samples)
        return [[self._sample(t) for t in self.completions[p][chosen]] for p in prompts]

    def _sample(self, text):
        truncated = text.endswith("...")
        ids = self.tokenizer(text)["input_ids"]
        end = [] if truncated else [self.tokenizer.eos_token_id]
        return Sample(completion_ids=ids + end, truncated=truncated)

    def sync_weights(self):
        pass

    def close(self):
        pass


@pytest.fixture(scope="session")
def tokenizer():
    characters = [chr(code) for code in range(32, 127)]
    vocabulary = {token: i for i, token in enumerate(["<pad>", "<eos>", *characters])}
    model = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
    model.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    model.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=model, pad_token="<pad>", eos_token="<eos>")


@pytest.fixture
def make_engine(tokenizer):
    return lambda completions: WrittenEngine(tokenizer, completions)
