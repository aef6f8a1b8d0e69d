"""Sampling asked for ahead: the completions of the next batch come while the trainer updates."""

import logging
from concurrent.futures import Future
from dataclasses import astuple, dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import torch

from rl.rollouts.engine import RolloutEngine, Sample, with_settings

FILE = "samples_ahead_{rank}.pt"
_SAVED = ("number", "version", "seeds", "num_samples")
_logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Request:
    """What `generate` will be asked for.

    Attributes:
        prompt_ids: P tokenized prompts.
        num_samples: Samples per prompt.
        seeds: One per prompt.
    """

    prompt_ids: list[list[int]]
    num_samples: int
    seeds: list[int]


@dataclass(eq=False, kw_only=True)
class _Asked:
    """A request under way or answered: for which batch, and by which policy."""

    number: int
    version: int
    seeds: list[int]
    num_samples: int
    samples: "Future[list[list[Sample]]]"


class AheadEngine:
    """Answers a call from what was asked for ahead; any other call goes to the engine at once.

    The weights change between requests only: `sync_weights` waits for those that run. So every
    completion comes whole from one policy, whose version is known.

    Args:
        engine: Samples without the trainer's model; may be called from several threads at once.
    """

    def __init__(self, engine: RolloutEngine) -> None:
        self.engine = engine
        self.settings = engine.settings  # of calls; what is asked for ahead has the engine's own
        self._asked: list[_Asked] = []  # two at most; copies of this engine share them

    def ask(self, number: int, version: int, request: Request) -> None:
        """Begin to sample for a later batch, unless that is done already.

        Args:
            number: Of the batch.
            version: Of the policy the engine holds.
            request: What the batch needs.
        """
        if self.version(number, request, otherwise=-1) >= 0:
            return
        samples: Future[list[list[Sample]]] = Future()
        asked = _Asked(
            number=number,
            version=version,
            seeds=list(request.seeds),
            num_samples=request.num_samples,
            samples=samples,
        )
        self._asked[:] = [*(a for a in self._asked if a.number == number - 1), asked]
        # As a daemon it holds up no process that ends.
        Thread(target=self._sample, args=(request, samples), daemon=True).start()

    def _sample(self, request: Request, samples: "Future[list[list[Sample]]]") -> None:
        arguments = request.prompt_ids, request.num_samples, request.seeds
        try:
            samples.set_result(self.engine.generate(*arguments) if request.seeds else [])
        except Exception as error:  # noqa: BLE001  whoever waits for the samples gets it
            samples.set_exception(error)

    def version(self, number: int, request: Request, otherwise: int) -> int:
        """Return the version of the policy that a batch's completions come from.

        What was asked for other prompts or votes, as before a change of ranks or settings, is
        dropped, and `otherwise` returned.
        """
        for asked in [a for a in self._asked if a.number == number]:
            if (asked.seeds, asked.num_samples) == (request.seeds, request.num_samples):
                return asked.version
            _logger.warning("batch %d is sampled again: other prompts were asked for", number)
            self._asked.remove(asked)
        return otherwise

    def finish(self) -> None:
        """Wait until nothing is being sampled ahead.

        Raises:
            Exception: What the engine raised.
        """
        for asked in self._asked:
            asked.samples.result()

    def forget(self) -> None:
        """Throw away what was asked for, as of a policy that is given up."""
        self.finish()
        self._asked.clear()

    def generate(
        self,
        prompt_ids: list[list[int]],
        num_samples: int,
        seeds: list[int],
        first_sample: int = 0,
    ) -> list[list[Sample]]:
        """Return, once, what was asked for ahead, or sample (see `RolloutEngine.generate`)."""
        for asked in self._asked if seeds and not first_sample else ():
            if (asked.seeds, asked.num_samples) == (seeds, num_samples):
                self._asked.remove(asked)
                return asked.samples.result()
        engine = with_settings(self.engine, self.settings)
        return engine.generate(prompt_ids, num_samples, seeds, first_sample)

    def sync_weights(self) -> None:
        """Take over the trained model's current weights, once nothing is being sampled."""
        self.finish()
        self.engine.sync_weights()

    def close(self) -> None:
        """Free what the engine holds; what is being sampled is not waited for."""
        self.engine.close()

    def save(self, folder: Path, rank: int) -> None:
        """Write what was asked for into a checkpoint, as soon as it is there, if it comes."""
        saved: list[dict[str, Any]] = [
            {
                **{name: getattr(asked, name) for name in _SAVED},
                "samples": [list(map(astuple, row)) for row in asked.samples.result()],
            }
            for asked in self._asked
            if asked.samples.exception() is None  # waits
        ]
        torch.save(saved, folder / FILE.format(rank=rank))

    def load(self, folder: Path, rank: int) -> None:
        """Read it back; of a checkpoint without it nothing was asked for."""
        path = folder / FILE.format(rank=rank)
        self._asked.clear()
        for saved in torch.load(path, weights_only=True) if path.is_file() else []:
            samples: Future[list[list[Sample]]] = Future()
            samples.set_result([[_sample(*values) for values in row] for row in saved["samples"]])
            self._asked.append(_Asked(**{n: saved[n] for n in _SAVED}, samples=samples))


def _sample(ids: list[int], truncated: bool, logps: list[float] | None) -> Sample:
    return Sample(completion_ids=ids, truncated=truncated, sampling_per_token_logps=logps)
