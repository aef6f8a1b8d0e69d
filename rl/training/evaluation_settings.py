"""Settings of the evaluations before, within and after a run."""

from dataclasses import dataclass, field

from rl.settings import NumSamples, StepsOrNone


@dataclass(kw_only=True)
class EvaluationSettings:
    """The part of `rl.training.config.LabelFreeConfig` about evaluations."""

    eval_benchmarks: list[str] = field(
        default_factory=list,
        metadata={"help": "Files of labelled problems, evaluated before and after training."},
    )
    eval_prompts: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Files of held-out prompts without labels: what needs none is measured on them."
        },
    )
    eval_base: bool = field(
        default=True, metadata={"help": "Evaluate before training too, not only after."}
    )
    eval_controls: bool = field(
        default=True,
        metadata={
            "help": "Measure before training what the base model reaches without it: greedy, at "
            "lower temperatures, by majority (rl/evaluation/controls.py)."
        },
    )
    eval_num_samples: NumSamples = field(
        default=16, metadata={"help": "Samples per problem of those evaluations."}
    )
    eval_every: StepsOrNone = field(
        default=0, metadata={"help": "Optimizer steps between two evaluations; 0: none between."}
    )
    keep_best: str = field(
        default="",
        metadata={
            "help": "Save the policy with the highest value of this metric in best/: "
            "majority_ratio, which needs no label, or a labelled one such as pass@1."
        },
    )
