"""An engine for the trainer's tests: every prompt gets the same completions."""

from rl.rollouts.engine import Sample, SamplingSettings


class ScriptedEngine:
    """Gives every prompt the same completions, with the log-probabilities it was made with."""

    settings = SamplingSettings(max_completion_length=16)

    def __init__(self, tokenizer, completions, logp=None):
        self.tokenizer = tokenizer
        self.completions = completions
        self.logp = logp

    def generate(self, prompt_ids, num_samples, seeds, first_sample=0, images=None):
        texts = self.completions[first_sample : first_sample + num_samples]
        tokens = [[*self.tokenizer(text)["input_ids"], 1] for text in texts]
        logps = [None if self.logp is None else [self.logp] * len(ids) for ids in tokens]
        samples = [
            Sample(completion_ids=ids, truncated=False, sampling_per_token_logps=row)
            for ids, row in zip(tokens, logps, strict=True)
        ]
        return [samples for _ in prompt_ids]

    def sync_weights(self):
        pass

    def close(self):
        pass
