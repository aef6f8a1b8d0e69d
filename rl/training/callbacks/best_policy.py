"""The best policy of a run: kept whole, and taken back where a guard speaks against it later."""

import json
import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rl.data.whole_files import write_whole, writing_into
from rl.training.checkpoints import (
    NUM_FALLBACKS,
    checkpoint_problem,
    checkpoint_step,
    kept_fallbacks,
    named_step,
)
from rl.training.host import LabelFreeTrainer

BEST_DIR = "best"
BEST_FILE = "best.json"
EARLIER_DIR = "earlier_best"

_logger = logging.getLogger(__name__)


class BestPolicy:
    """Keeps the best policy in best/, and some that were the best before in earlier_best/.

    Each is written as a checkpoint is (`rl.training.checkpoints`), with a record of its own, so
    what is there is whole. A guard sees trouble some steps after it began. A policy from between
    the last healthy step and the alarm is then no longer the best, however high its value: the
    newest one that was the best before is. Every rank must call the methods.

    Args:
        trainer: Holds the policy.
        output_dir: Of the run.

    Attributes:
        record: What is known of the best policy: step, metric, value, label_free and signs; None if
            there is none.
        leaders: Prompt id -> its leading answer, as `rl.groups.leaders` has it.
    """

    def __init__(self, trainer: LabelFreeTrainer, output_dir: Path) -> None:
        self.trainer = trainer
        self.output_dir = output_dir
        self.folder = output_dir / BEST_DIR
        self.earlier = output_dir / EARLIER_DIR
        self.record: dict[str, Any] | None = None
        self.leaders: dict[str, Any] = {}

    @property
    def is_main(self) -> bool:
        """Whether this rank moves folders."""
        return self.trainer.accelerator.is_main_process

    def keep(self, record: Mapping[str, Any], leaders: Mapping[str, Any]) -> None:
        """Save the policy as it is as the best one.

        Where labels chose it nothing can be taken back, and the one before is deleted.
        """
        place = None
        if self.record is not None and record["label_free"]:
            place = self.earlier / f"step-{self.record['step']}"
            if self.is_main:
                self.earlier.mkdir(exist_ok=True)
        with self.trainer.checkpoints.writing(record["step"], BEST_DIR, place) as folder:
            self.trainer.save_model(str(folder))
            if self.is_main:
                # Of adapters; the card is the run's, and rewritten at its end.
                (folder / "README.md").unlink(missing_ok=True)
                text = json.dumps({"record": record, "leaders": leaders})
                (folder / BEST_FILE).write_text(text)
        self.record, self.leaders = dict(record), dict(leaders)
        if self.is_main:
            kept = kept_fallbacks(sorted(self._earlier()), record["step"], NUM_FALLBACKS)
            for step, old in self._earlier().items():
                if step not in kept:
                    shutil.rmtree(old)
            self._tell()

    def revoke(self, healthy_step: int, step: int) -> None:
        """Give up the policies from after the last healthy step up to that of the alarm."""
        if self.record is None or not self.record["label_free"]:
            return
        if healthy_step < self.record["step"] <= step:
            revoked = self.record["step"]
            self.take_back(lambda found: not healthy_step < found <= step)
            if self.is_main:
                _logger.warning(
                    "best/: step %d lies after the last healthy step, %d; %s",
                    *(revoked, healthy_step),
                    "no earlier one is kept"
                    if self.record is None
                    else f"the best is step {self.record['step']} again",
                )

    def take_back(self, stands: Callable[[int], bool]) -> None:
        """Keep only the policies whose step may stand; the newest of them is the best.

        A run that is resumed may find best/ of a later step, or none if it was killed while two
        folders changed places.
        """
        if self.is_main:
            with writing_into(self.output_dir):
                self._take_back(stands)
        self.trainer.accelerator.wait_for_everyone()
        self.record, self.leaders = None, {}
        if (self.folder / BEST_FILE).is_file():
            found = json.loads((self.folder / BEST_FILE).read_text())
            self.record, self.leaders = found["record"], found["leaders"]

    def _take_back(self, stands: Callable[[int], bool]) -> None:
        if self.folder.is_dir():
            problem = checkpoint_problem(self.folder)
            if problem is None:
                self.earlier.mkdir(exist_ok=True)
                self.folder.rename(self.earlier / f"step-{checkpoint_step(self.folder)}")
            else:
                aside = self.folder.with_name(f"dropped-{BEST_DIR}")
                shutil.rmtree(aside, ignore_errors=True)
                _logger.warning("%s, %s: set aside as %s", self.folder, problem, aside)
                self.folder.rename(aside)
        for step, old in sorted(self._earlier().items(), reverse=True):
            if not stands(step) or checkpoint_problem(old) is not None:
                shutil.rmtree(old)
            elif not self.folder.exists():
                old.rename(self.folder)
        self._tell()

    def _earlier(self) -> dict[int, Path]:
        return {named_step(folder): folder for folder in self.earlier.glob("step-*")}

    def _tell(self) -> None:
        """Write best.json, as the folder has it, where it is looked for."""
        path = self.output_dir / BEST_FILE
        if not self.folder.is_dir():
            path.unlink(missing_ok=True)
            return
        found = json.loads((self.folder / BEST_FILE).read_text())
        write_whole(path, json.dumps(found["record"]) + "\n")
