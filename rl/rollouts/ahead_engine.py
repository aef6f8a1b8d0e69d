"""Sampling asked for ahead: the completions of the next batch come while the trainer updates."""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import torch

from rl.rollouts.engine import RolloutEngine, Sample, with_settings

FILE = "samples_ahead_{rank}.pt"
_SAVED = ("number", "version", "seeds", "num_samples")


@dataclass(eq=False)
class _Request:
    """What was asked for ahead, for which batch, and by which policy it is answered."""

    number: int
    version: int
    seeds: list[int]
    num_samples: int
    samples: "Future[list[list[Sample]]]"


class AheadEngine:
    """Answers a call from what was asked for ahead; any other call goes to the engine at once.

    The weights change between requests only: `sync_weights` waits for the one that runs. So every
    completion comes whole from one policy, whose version is known.

    Args:
        engine: Samples without the trainer's model, and may be called from another thread.
    """

    def __init__(self, engine: RolloutEngine) -> None:
        self.engine = engine
        self.settings = engine.settings  # of calls; what is asked for ahead has the engine's own
        self._requests: list[_Request] = []  # two at most; copies of this engine share them
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="samples ahead")

    def ask(
        self,
        number: int,
        version: int,
        prompt_ids: list[list[int]],
        num_samples: int,
        seeds: list[int],
    ) -> None:
        """Begin to sample what `generate` will be asked for with the same seeds.

        Args:
            number: Of the batch it is for.
            version: Of the policy the engine holds.
            prompt_ids: P tokenized prompts.
            num_samples: Samples per prompt.
            seeds: One per prompt.
        """
        unused = [request.number for request in self._requests if request.number < number - 1]
        if unused:
            raise RuntimeError(f"batches {unused} were asked for ahead and are not used")
        samples = self._thread.submit(self.engine.generate, prompt_ids, num_samples, seeds)
        self._requests.append(_Request(number, version, list(seeds), num_samples, samples))

    def version(self, number: int, otherwise: int) -> int:
        """Return the version of the policy that answers for a batch, as long as it is not used."""
        asked = [request.version for request in self._requests if request.number == number]
        return asked[0] if asked else otherwise

    def finish(self) -> None:
        """Wait until nothing is being sampled.

        Raises:
            Exception: What the engine raised.
        """
        for request in self._requests:
            request.samples.result()

    def forget(self) -> None:
        """Throw away what was asked for, as of a policy that is given up."""
        self.finish()
        self._requests.clear()

    def generate(
        self,
        prompt_ids: list[list[int]],
        num_samples: int,
        seeds: list[int],
        first_sample: int = 0,
    ) -> list[list[Sample]]:
        """Return, once, what was asked for ahead, or sample (see `RolloutEngine.generate`)."""
        for request in self._requests:
            if request.seeds == seeds and (request.num_samples, 0) == (num_samples, first_sample):
                self._requests.remove(request)
                return request.samples.result()
        engine = with_settings(self.engine, self.settings)
        return engine.generate(prompt_ids, num_samples, seeds, first_sample)

    def sync_weights(self) -> None:
        """Take over the trained model's current weights, once nothing is being sampled."""
        self.finish()
        self.engine.sync_weights()

    def close(self) -> None:
        """End the thread, and free what the engine holds."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self.engine.close()

    def save(self, folder: Path, rank: int) -> None:
        """Write what was asked for into a checkpoint, as soon as it is there."""
        saved: list[dict[str, Any]] = [
            {
                **{name: getattr(request, name) for name in _SAVED},
                "samples": [list(map(astuple, row)) for row in request.samples.result()],
            }
            for request in self._requests
        ]
        torch.save(saved, folder / FILE.format(rank=rank))

    def load(self, folder: Path, rank: int) -> None:
        """Read it back; of a checkpoint without it nothing was asked for."""
        path = folder / FILE.format(rank=rank)
        self._requests.clear()
        for saved in torch.load(path, weights_only=True) if path.is_file() else []:
            samples: Future[list[list[Sample]]] = Future()
            samples.set_result([[_sample(*values) for values in row] for row in saved["samples"]])
            asked = {name: saved[name] for name in _SAVED}
            self._requests.append(_Request(**asked, samples=samples))


def _sample(ids: list[int], truncated: bool, logps: list[float] | None) -> Sample:
    return Sample(completion_ids=ids, truncated=truncated, sampling_per_token_logps=logps)
