"""Evaluates the policy of a running training: before, on a schedule, after; keeps the best one."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from accelerate.utils import gather_object
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from rl.data.whole_files import write_whole
from rl.evaluation.controls import Controls, compare_with_controls, measure_controls, scores
from rl.evaluation.evaluate import evaluate_problems
from rl.evaluation.metrics.criteria import LABEL_FREE_CRITERIA, LABEL_FREE_METRICS
from rl.evaluation.metrics.summary import default_ks, summarize
from rl.evaluation.problems.distinct_names import distinct_names
from rl.evaluation.problems.labelled import Benchmark
from rl.evaluation.records import Estimate, SampleRecord
from rl.groups.kappa import fleiss_kappa
from rl.groups.leaders import LeaderMemory
from rl.groups.metrics import answer_keys
from rl.groups.visits import shard
from rl.rollouts.engine import SamplingSettings, with_settings
from rl.training.callbacks.best_policy import BestPolicy
from rl.training.callbacks.guards import GuardCallback
from rl.training.callbacks.stream_evaluations import StreamEvaluations
from rl.training.guards.signs import veto
from rl.training.guards.verdict import Event
from rl.training.host import LabelFreeTrainer
from rl.training.prepare import Run
from rl.types import Group, Rollout
from rl.watchdog import deadline

CONTROLS_FILE = "controls.json"
SIGNS = ("kappa", "truncated_frac", "no_answer_frac")  # what a veto compares with


class PolicyEvaluation(TrainerCallback):
    """Evaluates the policy on the run's benchmarks and keeps the best one found.

    Each evaluation is a line of metrics.jsonl, `eval/<metric>`, with several benchmarks
    `eval/<benchmark>/<metric>`, where files of one name are told apart by their folders, and
    `eval/sampled_tokens`, what training has sampled by then.

    With `keep_best` the policy with the highest value of that metric, the untouched one included,
    is saved in best/ (`BestPolicy`), and best.json says which step it is of and whether a label was
    needed to choose it. It is measured on the first of `eval_prompts`, or, if there are none or the
    metric needs labels, the first of `eval_benchmarks`. A tie keeps the earlier policy. A
    label-free metric cannot choose a policy while a guard sees trouble, nor one that has given up
    what the best one had settled (`rl.training.guards.signs.veto`). What it chose after the step
    that a later alarm calls the last healthy one is given up again.

    Of a stream of data sets every benchmark is evaluated after each of them (`StreamEvaluations`).

    With labelled benchmarks and `eval_base` the base model's controls are measured before training
    (`rl.evaluation.controls`, unless `eval_controls` is off) and compared with the trained policy.

    Attributes:
        results: "before" and "after" -> metrics, with several benchmarks by name; "intervals" ->
            "before" and "after" -> metric -> both ends of its 95% interval, likewise; "controls"
            likewise; "best"; "continual".
    """

    def __init__(
        self, trainer: LabelFreeTrainer, run: Run, guards: GuardCallback | None = None
    ) -> None:
        self.trainer = trainer
        self.run = run
        self.guards = guards
        self.leaders = {name: LeaderMemory() for name in run.benchmarks}
        trainer.memories |= {f"leaders of {name}": found for name, found in self.leaders.items()}
        names = [n for n in run.config.eval_benchmarks if n in run.benchmarks]
        self.stream = StreamEvaluations(trainer, names)
        trainer.memories["evaluations of a stream"] = self.stream
        self.results: dict[str, dict[str, Any]] = {}
        self.output_dir = run.run_files.output_dir
        self.best = BestPolicy(trainer, self.output_dir)
        if guards is not None:
            guards.listeners.append(self._on_event)
        self.controls: dict[str, Controls] = {}
        self.samples: dict[str, list[SampleRecord]] = {}  # of the newest evaluation

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Evaluate the untouched model; a resumed run reads what it found then."""
        path = self.output_dir / "before.json"
        # What a later step found is found again; nothing is left of another run.
        is_new = self.run.checkpoint is None
        self.best.take_back(lambda step: step <= state.global_step and not is_new)
        for event in self.guards.record.events if self.guards is not None else ():
            self._on_event(event)
        if is_new and self.run.config.eval_base:
            self._evaluate("before", state, control)
            self._measure_controls()
            if state.is_world_process_zero and self.results:
                write_whole(path, json.dumps(self.results))
        elif path.exists() and not is_new:
            found = json.loads(path.read_text())
            # Runs of earlier versions wrote the metrics alone.
            self.results |= found if "intervals" in found else {"before": found}
            self._read_controls()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Evaluate where schedule or stream say so; the last step is evaluated at the end."""
        every = self.run.config.eval_every
        is_due = every and state.global_step % every == 0
        if (is_due or self.stream.is_due(state)) and state.global_step < state.max_steps:
            self._evaluate("now", state, control)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Evaluate the trained model."""
        self._evaluate("after", state, control)
        for results in (self.results, self.results.get("intervals", {})):
            results.pop("now", None)
        if self.best.record is not None:
            self.results["best"] = self.best.record
        if self.stream.rows:
            before = self.results.get("before")
            if before is not None and len(self.run.benchmarks) == 1:
                before = {next(iter(self.run.benchmarks)): before}
            self.results["continual"] = self.stream.summary(before)
        if self.controls:
            found = {
                name: compare_with_controls(scores(self.samples[name], "pass@1"), controls)
                for name, controls in self.controls.items()
            }
            self.results["controls"] = by_benchmark(found)

    def _evaluate(self, when: str, state: TrainerState, control: TrainerControl) -> None:
        if not self.run.benchmarks:
            return
        start = time.perf_counter()
        num_samples = self.run.config.eval_num_samples
        self.samples = {
            name: sample_policy(self.trainer, benchmark, num_samples)
            for name, benchmark in self.run.benchmarks.items()
        }
        estimates = {
            name: summarize_policy(self.samples[name], benchmark, num_samples)
            for name, benchmark in self.run.benchmarks.items()
        }
        found = {
            name: {m: e.value for m, e in of.items()}
            | settled_answers(self.samples[name], self.leaders[name], state.global_step)
            for name, of in estimates.items()
        }
        self.results[when] = by_benchmark(found)
        if when == "after" or self.stream.is_due(state):
            self.stream.add(found, state.global_step)
        self.results.setdefault("intervals", {})[when] = by_benchmark(
            {
                name: {m: [e.ci_low, e.ci_high] for m, e in of.items()}
                for name, of in estimates.items()
            }
        )
        seconds = time.perf_counter() - start
        logs = (
            eval_logs(found)
            | self.stream.logs(state.global_step)
            | {
                "eval/sampled_tokens": self.trainer.costs.total["num_sampled_tokens"],
                "cost/eval_seconds": seconds,
            }
        )
        # Not through the trainer's `log`, which would take the running step's averages with it.
        should_log = control.should_log
        self.trainer.callback_handler.on_log(self.trainer.args, state, control, logs)
        control.should_log = should_log
        if self.run.config.keep_best:
            unlabelled_first = sorted(
                found, key=lambda name: name in self.run.config.eval_benchmarks
            )
            chosen = next(n for n in unlabelled_first if self.run.config.keep_best in found[n])
            self._keep_if_best(chosen, found[chosen], state)

    def _measure_controls(self) -> None:
        if not self.run.config.eval_controls:
            return
        for name, benchmark in self.run.benchmarks.items():
            if benchmark.label_column:
                self.controls[name] = measure_controls(
                    partial(self._sample_otherwise, benchmark),
                    self.trainer.engine.settings,
                    self.run.config.vote_budget.max,
                    self.samples[name],
                )
        if self.controls and self.trainer.accelerator.is_main_process:
            found = {name: asdict(controls) for name, controls in self.controls.items()}
            write_whole(self.output_dir / CONTROLS_FILE, json.dumps(found))

    def _sample_otherwise(
        self, benchmark: Benchmark, settings: SamplingSettings, num_samples: int
    ) -> list[SampleRecord]:
        return sample_policy(self.trainer, benchmark, num_samples, settings)

    def _read_controls(self) -> None:
        path = self.output_dir / CONTROLS_FILE
        if path.exists():
            found = json.loads(path.read_text())
            # A benchmark that the run goes on without is not compared.
            kept = [name for name in found if name in self.run.benchmarks]
            self.controls = {name: Controls(**found[name]) for name in kept}

    def _keep_if_best(
        self, benchmark: str, found: Mapping[str, float], state: TrainerState
    ) -> None:
        metric = self.run.config.keep_best
        label_free = metric in LABEL_FREE_CRITERIA
        best = self.best.record
        if best is not None and found[metric] <= best["value"]:
            return
        groups = groups_of(self.samples[benchmark])
        if label_free and self._veto(best, found, groups):
            return
        leaders = LeaderMemory()
        leaders.visit(groups, state.global_step)
        record = {
            "step": state.global_step,
            "metric": metric,
            "value": found[metric],
            "label_free": label_free,
            "signs": {name: found[name] for name in SIGNS if name in found},
        }
        self.best.keep(record, leaders.leaders)

    def _on_event(self, event: Event) -> None:
        """Give up what was chosen after the last healthy step."""
        if event.healthy_step is not None:
            self.best.revoke(event.healthy_step, event.step)

    def _veto(
        self, best: Mapping[str, Any] | None, found: Mapping[str, float], groups: Sequence[Group]
    ) -> str | None:
        """Say why a policy cannot be the best; None if nothing speaks against it."""
        if self.guards is not None and not self.guards.is_calm:
            return "a guard sees trouble"
        if best is None:
            return None
        against_best = LeaderMemory()
        against_best.leaders = dict(self.best.leaders)
        flips = against_best.visit(groups, 0)
        now = {name.removeprefix("vote/"): value for name, value in flips.items()}
        return veto(best.get("signs", {}), {**found, **now})


def eval_logs(found: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Name metrics as metrics.jsonl does: by benchmark where there are several.

    Example:
        >>> eval_logs({"a.jsonl": {"pass@1": 0.5}})
        {'eval/pass@1': 0.5}
        >>> eval_logs({"data/a.jsonl": {"pass@1": 0.5}, "b": {"pass@1": 1.0}})
        {'eval/a/pass@1': 0.5, 'eval/b/pass@1': 1.0}
        >>> eval_logs({"x/a.jsonl": {"pass@1": 0.5}, "y/a.jsonl": {"pass@1": 1.0}})
        {'eval/x/a/pass@1': 0.5, 'eval/y/a/pass@1': 1.0}
    """
    if len(found) == 1:
        return {f"eval/{name}": value for name, value in next(iter(found.values())).items()}
    names = distinct_names(found, lambda benchmark: Path(benchmark).stem)
    return {
        f"eval/{names[benchmark]}/{name}": value
        for benchmark, metrics in found.items()
        for name, value in metrics.items()
    }


def by_benchmark(found: Mapping[str, Any]) -> Any:
    """Return what was found: of a single benchmark without its name."""
    return next(iter(found.values())) if len(found) == 1 else dict(found)


def sample_policy(
    trainer: LabelFreeTrainer,
    benchmark: Benchmark,
    num_samples: int,
    settings: SamplingSettings | None = None,
) -> list[SampleRecord]:
    """Sample and grade a benchmark with the run's own engine, each rank a share of the problems.

    Args:
        trainer: Holds the policy as it is now.
        benchmark: The problems.
        num_samples: Of each.
        settings: How to sample; None as in training.

    Returns:
        The graded samples of all problems, the same on every rank.
    """
    problems = benchmark.problems
    max_seconds = trainer.args.max_sampling_seconds
    with deadline("handing weights to the sampler", max_seconds, "max_sampling_seconds"):
        trainer.sync_engine()
    accelerator = trainer.accelerator
    rank, num_ranks = accelerator.process_index, accelerator.num_processes
    # Sampling from a sharded model is collective, so each rank samples as many problems as the
    # others; a share that falls short is filled up with copies, which are left out of the result.
    share = shard(problems, rank, num_ranks)
    copies = [
        replace(problems[0], id=f"copy {i}")
        for i in range(math.ceil(len(problems) / num_ranks) - len(share))
    ]
    result = evaluate_problems(
        with_settings(trainer.engine, settings or trainer.engine.settings),
        trainer.tokenizer,
        [*share, *copies],
        num_samples=num_samples,
        seed=trainer.args.seed,
        methods=trainer.args.answer_methods,
        show_progress=accelerator.is_main_process and not trainer.args.disable_tqdm,
        max_sampling_seconds=max_seconds,
        image_inputs=trainer.images and trainer.images.inputs,
    )
    return gather_object(result.samples[: len(share) * num_samples])


def summarize_policy(
    samples: Sequence[SampleRecord], benchmark: Benchmark, num_samples: int
) -> dict[str, Estimate]:
    """Average metrics over problems; without labels those that need none."""
    return {
        name: estimate
        for name, estimate in summarize(samples, default_ks(num_samples)).items()
        if benchmark.label_column or name in LABEL_FREE_METRICS
    }


def settled_answers(
    samples: Sequence[SampleRecord], leaders: LeaderMemory, step: int
) -> dict[str, float]:
    """Say whether answers depend on the prompt, and how many leading answers have changed.

    Returns:
        kappa (`rl.groups.kappa`), and flip_frac, num_settled, settled_flips and settled_gap
        (`rl.groups.leaders`) against an evaluation at least 20 steps earlier; what there is of it.
    """
    groups = groups_of(samples)
    kappa = fleiss_kappa([answer_keys(group) for group in groups])
    flips = leaders.visit(groups, step)
    found = {name.removeprefix("vote/"): value for name, value in flips.items()}
    return found if kappa is None else {"kappa": kappa, **found}


def groups_of(samples: Sequence[SampleRecord]) -> list[Group]:
    """Put the samples of each problem together, in the order of the first ones."""
    by_problem: dict[str, list[Rollout]] = {}
    for sample in samples:
        rollout = Rollout(
            completion=sample.completion, answer=sample.answer, cluster=sample.cluster
        )
        by_problem.setdefault(sample.problem_id, []).append(rollout)
    return [Group(prompt_id=name, prompt="", rollouts=r) for name, r in by_problem.items()]  # type: ignore[arg-type]
