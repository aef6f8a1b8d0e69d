"""An engine that samples from a copy of the policy, and so while the policy is trained."""

from dataclasses import replace

import torch
from transformers import AutoModelForCausalLM

from rl.rollouts.transformers_engine import TransformersEngine


class CopiedPolicy(TransformersEngine):
    """Samples like `TransformersEngine`, with the weights of the last sync; knows their logps."""

    samples_beside_updates = True

    @classmethod
    def for_run(cls, policy, settings):
        # Not a deep copy: TRL's forward pass would stay that of the trained model.
        copied = AutoModelForCausalLM.from_config(policy.model.config, dtype=torch.float32)
        engine = cls(copied.eval(), policy.tokenizer, settings)
        engine.trained = policy.model
        return engine

    def sync_weights(self):
        self.model.load_state_dict(self.trained.state_dict())

    def generate(self, prompt_ids, *args, **kwargs):
        found = super().generate(prompt_ids, *args, **kwargs)
        return [
            [replace(s, sampling_per_token_logps=self.logps(ids, s.completion_ids)) for s in row]
            for ids, row in zip(prompt_ids, found, strict=True)
        ]

    @torch.no_grad()
    def logps(self, prompt, completion):
        logits = self.model(torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1]
        logps = (logits / self.settings.temperature).log_softmax(dim=-1)
        return logps.gather(1, torch.tensor(completion)[:, None])[:, 0].tolist()
