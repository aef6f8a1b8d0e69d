"""What a run spends: seconds by phase, sampled tokens and completions, as cost/ metrics."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


class CostMeter:
    """Counts what is spent, per logged step and over the whole run.

    Attributes:
        total: Name -> amount over the run, without what the running step has spent so far.
    """

    def __init__(self) -> None:
        self.total: dict[str, float] = defaultdict(float)
        self._step: dict[str, float] = defaultdict(float)

    def add(self, name: str, amount: float) -> None:
        """Count an amount under a name."""
        self._step[name] += amount

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        """Count the seconds a block takes."""
        start = time.perf_counter()
        yield
        self.add(name, time.perf_counter() - start)

    def state_dict(self) -> dict[str, Any]:
        """Return the total, which a resumed run goes on from."""
        return {"total": dict(self.total)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved total."""
        self.total = defaultdict(float, state["total"])

    def finish_step(self) -> dict[str, float]:
        """Return the step's amounts as cost/ metrics, add them to the total and begin anew."""
        metrics = {f"cost/{name}": amount for name, amount in self._step.items()}
        for name, amount in self._step.items():
            self.total[name] += amount
        self._step.clear()
        return metrics
