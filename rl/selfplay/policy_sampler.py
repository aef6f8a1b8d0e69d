"""Samples a game's requests with the run's engine: each rank a share, all ranks get everything."""

from collections.abc import Sequence

from accelerate import Accelerator
from accelerate.utils import gather_object
from transformers import PreTrainedTokenizerBase

from rl.costs import CostMeter
from rl.data import tokenize_prompt
from rl.rollouts.engine import RolloutEngine, Sample, derive_seed
from rl.selfplay.game import Answered, Request


class PolicySampler:
    """Answers the requests of one round; see `rl.selfplay.game.Sampler`.

    Args:
        engine: Samples under the current policy.
        tokenizer: The policy's.
        accelerator: Knows the ranks.
        costs: Counts what is sampled, and the seconds it takes.
        seed: Of the run.
        step: Number of the round.
        frozen_engine: Samples under the frozen policy; None keeps none.

    Attributes:
        samples: Key of each request of the policy -> its samples, token by token.
        frozen_samples: The same of the frozen policy.
    """

    def __init__(
        self,
        engine: RolloutEngine,
        tokenizer: PreTrainedTokenizerBase,
        accelerator: Accelerator,
        costs: CostMeter,
        seed: int,
        step: int,
        frozen_engine: RolloutEngine | None = None,
    ) -> None:
        self.engine = engine
        self.tokenizer = tokenizer
        self.accelerator = accelerator
        self.costs = costs
        self.seed = seed
        self.step = step
        self.frozen_engine = frozen_engine
        self.samples: dict[str, list[Sample]] = {}
        self.frozen_samples: dict[str, list[Sample]] = {}

    def __call__(self, requests: Sequence[Request]) -> list[list[Answered]]:
        """Sample under the current policy."""
        return self._answer(self.engine, requests, self.samples)

    def frozen(self, requests: Sequence[Request]) -> list[list[Answered]] | None:
        """Sample under the frozen policy, if there is one."""
        if self.frozen_engine is None:
            return None
        return self._answer(self.frozen_engine, requests, self.frozen_samples)

    def count_tokens(self, text: str) -> int:
        """Count the tokens of a text."""
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _answer(
        self, engine: RolloutEngine, requests: Sequence[Request], known: dict[str, list[Sample]]
    ) -> list[list[Answered]]:
        keys = [request.key for request in requests]
        if len(set(keys)) < len(keys) or not known.keys().isdisjoint(keys):
            raise ValueError("requests: got a key twice in one round, expected each once.")
        answered: dict[str, list[Answered]] = {}
        with self.costs.time("sample_seconds"):
            # An engine samples as many completions of each prompt of a call.
            for num_samples in sorted({request.num_samples for request in requests}):
                same = [request for request in requests if request.num_samples == num_samples]
                for key, samples, texts in self._sample(engine, same, num_samples):
                    known[key] = samples
                    answered[key] = [
                        Answered(
                            completion=text,
                            num_tokens=len(sample.completion_ids),
                            truncated=sample.truncated,
                        )
                        for sample, text in zip(samples, texts, strict=True)
                    ]
        found = [answered[key] for key in keys]
        self.costs.add("num_sampled_completions", sum(map(len, found)))
        self.costs.add("num_sampled_tokens", sum(a.num_tokens for row in found for a in row))
        return found

    def _sample(
        self, engine: RolloutEngine, requests: Sequence[Request], num_samples: int
    ) -> list[tuple[str, list[Sample], list[str]]]:
        rank, num_ranks = self.accelerator.process_index, self.accelerator.num_processes
        # Sampling from a sharded model is collective, so ranks sample as many prompts; a share that
        # falls short samples the first request again, and drops it.
        places = range(rank, -(-len(requests) // num_ranks) * num_ranks, num_ranks)
        mine = [requests[place % len(requests)] for place in places]
        groups = engine.generate(
            [tokenize_prompt(request.prompt, self.tokenizer) for request in mine],
            num_samples,
            [derive_seed(self.seed, self.step, request.key) for request in mine],
        )
        own = [
            (request.key, group, self._decode(group))
            for place, request, group in zip(places, mine, groups, strict=True)
            if place < len(requests)
        ]
        return gather_object(own)

    def _decode(self, samples: Sequence[Sample]) -> list[str]:
        return self.tokenizer.batch_decode(
            [sample.completion_ids for sample in samples], skip_special_tokens=True
        )
