"""What settings of a run must be to go together: checked before a model is loaded."""

import json
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peft import LoraConfig
from transformers.integrations.integration_utils import get_available_reporting_integrations
from transformers.trainer_pt_utils import AcceleratorConfig

from rl.answers.comparers import comparer_name
from rl.answers.extraction import check_methods
from rl.data.views import get_view_maker
from rl.errors import InputError, unknown_name
from rl.evaluation.metrics.criteria import LABEL_FREE_CRITERIA, criteria
from rl.groups.advantages import get_advantage
from rl.plugins import names_code
from rl.rollouts.branching.registry import build_branching
from rl.selfplay.run_settings import read_selfplay
from rl.settings import check_settings, check_value
from rl.training.curriculum.registry import build_curricula
from rl.training.gradient_masks.masking import build_gradient_mask
from rl.training.guards.registry import build_guards
from rl.training.losses.terms import build_loss_terms
from rl.training.model_init import check_model_init, check_remote_code
from rl.training.ranges import LORA_RANGES
from rl.training.self_teacher_settings import check_rewards_of_self_teacher, check_self_teacher
from rl.training.teacher_settings import read_teacher
from rl.types import Reward

if TYPE_CHECKING:
    from rl.training.config import LabelFreeConfig


def check_combinations(config: "LabelFreeConfig") -> None:
    """Check everything but the batch's geometry.

    Raises:
        InputError: If settings contradict each other; the message names the way out.
    """
    _check_code(config)
    _check_lora(config)
    _check_libraries(config)
    _check_groups(config)
    _check_views(config)
    _check_teacher(config)
    _check_sampling(config)
    _check_branching(config)
    _check_micro_batches(config)
    _check_token_selection(config)
    _check_evaluation(config)
    _check_selfplay(config)
    _check_guards(config)
    _check_curriculum(config)
    build_gradient_mask(config.gradient_mask)
    _check_going_on(config)


def _check_code(config: "LabelFreeConfig") -> None:
    check_model_init(config.model_init_kwargs, config.model)
    if config.trust_remote_code:
        check_remote_code(config.model)


def _check_lora(config: "LabelFreeConfig") -> None:
    if config.lora is None:
        return
    found = check_settings("lora", LoraConfig, config.lora)
    for name in LORA_RANGES.keys() & found.keys():
        check_value(f"lora.{name}", LORA_RANGES[name], found[name])
    try:
        LoraConfig(**config.lora)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"lora: got {config.lora}, expected settings of peft.LoraConfig ({error}). Change them."
        ) from error


def _check_libraries(config: "LabelFreeConfig") -> None:
    """Check settings that are handed on to other libraries whole."""
    if isinstance(config.accelerator_config, Mapping):
        check_settings("accelerator_config", AcceleratorConfig, config.accelerator_config)
    if isinstance(config.deepspeed, str) and config.deepspeed:
        try:
            settings = json.loads(Path(config.deepspeed).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(
                f"deepspeed: got {config.deepspeed!r}, expected a JSON file of DeepSpeed's "
                f"settings ({error}). Correct it, or use a launch config of recipes/accelerate."
            ) from error
        if not isinstance(settings, dict):
            raise InputError(
                f"deepspeed: got {config.deepspeed!r}, expected a JSON object in it. Correct it."
            )
    known = get_available_reporting_integrations()
    names = [config.report_to] if isinstance(config.report_to, str) else config.report_to
    for name in names:
        if name not in ("none", "all", *known):
            raise InputError(
                f"report_to: got {name!r}, expected one of {', '.join([*known, 'none'])}, which "
                "are installed here. Install its package, or name another."
            )


def _check_groups(config: "LabelFreeConfig") -> None:
    if config.vote_budget.min < config.num_generations:
        raise InputError(
            f"num_votes: got {config.vote_budget.min}, expected at least num_generations "
            f"({config.num_generations}). Raise num_votes or lower num_generations."
        )
    terms = build_loss_terms(config.loss_terms)
    check_self_teacher(config, terms)
    if not terms and not config.rewards:
        raise InputError(
            "rewards: got none beside no loss_terms, expected at least one. Add "
            "`rewards: {majority_vote: {}}`."
        )
    _check_advantage(config)
    check_methods(config.answer_methods)
    if config.answer_comparer is not None:
        comparer_name(config.answer_comparer)
    if config.scale_rewards != "group" or config.reward_weights is not None:
        raise InputError(
            "scale_rewards, reward_weights: got a value, expected neither. Set `advantage` "
            "(normalized, centered, ...) and each reward's `weight` instead."
        )


def _check_advantage(config: "LabelFreeConfig") -> None:
    get_advantage(config.advantage)
    settings = {config.advantage: None} if isinstance(config.advantage, str) else config.advantage
    k = (settings.get("pass_at_k") or {}).get("k", 1)
    if k > config.num_generations:
        raise InputError(
            f"advantage.pass_at_k.k: got {k}, expected at most num_generations "
            f"({config.num_generations}), or no group teaches anything. Lower it."
        )
    weights = {name: (of or {}).get("weight", 1) for name, of in config.rewards.items()}
    # The sum of rewards has to say who agrees, which it does where it is 0 or 1.
    if "disagreement" in settings and [w for w in weights.values() if w != 0] != [1]:
        raise InputError(
            f"advantage.disagreement: got rewards of the weights {weights}, expected one vote of "
            "weight 1. Leave the others out, or choose another advantage."
        )


def _check_views(config: "LabelFreeConfig") -> None:
    if config.views is None:
        return
    get_view_maker(config.views)
    if "option_shuffle" in config.views and config.answer_choices is None:
        raise InputError(
            "views.option_shuffle: got no answer_choices, expected the letters, such as "
            "ABCD: only an answer that is a letter alone can be read back. Set answer_choices."
        )
    _check_beside(config, "views", {"selfplay": None, "max_staleness": 0})


def _check_teacher(config: "LabelFreeConfig") -> None:
    if config.teacher is None:
        return
    read_teacher(config.teacher)
    _check_beside(config, "teacher", {"selfplay": None, "max_staleness": 0})


def check_what_rewards_need(config: "LabelFreeConfig", rewards: Mapping[str, Reward]) -> None:
    """Check that views and a teacher are there where a reward asks for them, and a teacher is read.

    Code of one's own may read it without saying so.

    Raises:
        InputError: If one is not, or no reward says what the policy as its own teacher reads.
    """
    for setting, example in (
        ("views", "{column: {name: paraphrases}}"),
        ("teacher", "{kind: ema}"),
    ):
        for name, reward in rewards.items():
            if getattr(reward, f"needs_{setting}", False) and getattr(config, setting) is None:
                raise InputError(
                    f"{setting}: got none beside the reward {name!r}, which asks for it, expected "
                    f"some. Set it, as in {setting}: {example}."
                )
    is_read = any(getattr(reward, "needs_teacher", False) for reward in rewards.values())
    is_read |= names_code([config.rewards, config.curriculum, config.guards])
    if config.teacher is not None and not is_read:
        raise InputError(
            f"teacher: got {config.teacher} beside the rewards {list(rewards)}, expected one that "
            "reads what it samples. Add teacher_vote, or leave the teacher out."
        )
    check_rewards_of_self_teacher(build_loss_terms(config.loss_terms), rewards)


def _check_sampling(config: "LabelFreeConfig") -> None:
    ignored = {
        "generation_kwargs": config.generation_kwargs,
        "cache_implementation": config.cache_implementation,
        "use_transformers_continuous_batching": config.use_transformers_continuous_batching,
        "vllm_enable_sleep_mode": config.vllm_enable_sleep_mode,
        "vllm_structured_outputs_regex": config.vllm_structured_outputs_regex,
    }
    for name, value in ignored.items():
        if value:
            raise InputError(
                f"{name}: got {value!r}, expected it unset. The rollout engines do not use it; "
                "remove it."
            )
    beside_old_samples = {
        "selfplay": (config.selfplay is not None, "None"),
        "num_votes": (config.vote_budget.min != config.vote_budget.max, "a number"),
        "vllm_importance_sampling_correction": (
            not config.vllm_importance_sampling_correction,
            "true",
        ),
    }
    for name, (is_other, expected) in beside_old_samples.items():
        if config.max_staleness and is_other:
            raise InputError(
                f"max_staleness: got {config.max_staleness} beside {name} "
                f"{getattr(config, name)!r}, expected {expected} there: completions that are "
                "sampled ahead are asked for at once, and corrected for. Set it, or max_staleness: "
                "0."
            )
    if config.vllm_mode == "colocate" and config.vllm_tensor_parallel_size > 1:
        raise InputError(
            f"vllm_tensor_parallel_size: got {config.vllm_tensor_parallel_size} colocated, "
            "expected 1. Set vllm_mode: server to split one copy over several devices."
        )
    if config.eval_strategy not in ("no", None):
        raise InputError(
            f"eval_strategy: got {config.eval_strategy!r}, expected 'no'. TRL's evaluation needs "
            "a reward per row; name files in eval_benchmarks instead."
        )


def _check_branching(config: "LabelFreeConfig") -> None:
    measured = "branching" if config.branching is not None else "advantage"
    if config.measures_tokens:
        # The policy says what it thinks of tokens, so it must be the one that sampled them.
        _check_beside(config, measured, {"max_staleness": 0})
    if config.branching is None:
        return
    if config.vote_budget.min != config.vote_budget.max:
        raise InputError(
            f"num_votes: got {config.num_votes!r} beside branching, expected a number: a tree has "
            "a size. Set it, or leave branching out."
        )
    build_branching(config.branching, config.vote_budget.max)
    if config.trained_subset == "first" and config.vote_budget.max > config.num_generations:
        raise InputError(
            "trained_subset: got 'first' beside branching and more votes than num_generations, "
            "expected 'random': the first completions are the roots and the branches of the first "
            "of them. Set trained_subset: random."
        )
    # A stop string may stand across a fork, where no engine would see it.
    _check_beside(config, "branching", {"selfplay": None, "stop_strings": []})


def _check_micro_batches(config: "LabelFreeConfig") -> None:
    needed = {
        "trim_micro_batches": (config.trim_micro_batches, True),
        "entropy_coef": (config.entropy_coef, 0.0),
        "use_adaptive_entropy": (config.use_adaptive_entropy, False),
        "top_entropy_quantile": (config.top_entropy_quantile, 1.0),
        "router_aux_loss_coef": (config.router_aux_loss_coef or 0.0, 0.0),
        "loss_type": (config.loss_type == "bnpo", False),
    }
    for name, (value, expected) in needed.items():
        if config.max_tokens_per_micro_batch and value != expected:
            raise InputError(
                f"max_tokens_per_micro_batch: got {config.max_tokens_per_micro_batch} beside "
                f"{name} {getattr(config, name)!r}, which fixes the rows of a micro-batch, "
                "expected 0. Remove one of the two."
            )


def _check_token_selection(config: "LabelFreeConfig") -> None:
    if config.token_selector is None:
        return
    if len(config.token_selector) != 1:
        raise InputError(
            f"token_selector: got {len(config.token_selector)} names, expected one. Write "
            "`token_selector: {NAME: {setting: value}}`."
        )
    # The terms at selected tokens are sums over the tokens of an optimizer step, as dapo's is.
    needed = {
        "loss_type": "dapo",
        "importance_sampling_level": "token",
        "top_entropy_quantile": 1.0,
        "entropy_coef": 0.0,
        "use_adaptive_entropy": False,
    }
    _check_beside(config, "token_selector", needed)


def _check_evaluation(config: "LabelFreeConfig") -> None:
    evaluated = [*config.eval_benchmarks, *config.eval_prompts]
    if len(set(evaluated)) < len(evaluated):
        raise InputError(
            f"eval_benchmarks, eval_prompts: got {evaluated}, expected each file once. Remove one."
        )
    if (config.eval_every or config.keep_best) and not evaluated:
        name = "eval_every" if config.eval_every else "keep_best"
        raise InputError(
            f"eval_benchmarks, eval_prompts: got none beside {name}, expected at least one. Name a "
            f"file of problems or of prompts, or leave {name} out."
        )
    if config.keep_best and config.keep_best not in criteria(config.eval_num_samples):
        raise unknown_name("keep_best", config.keep_best, criteria(config.eval_num_samples))
    is_labelled = config.keep_best and config.keep_best not in LABEL_FREE_CRITERIA
    if is_labelled and not config.eval_benchmarks:
        raise InputError(
            f"keep_best: got {config.keep_best!r} without eval_benchmarks, expected one of "
            f"{', '.join(LABEL_FREE_CRITERIA)}. Name a file of labelled problems, or change it."
        )


def _check_going_on(config: "LabelFreeConfig") -> None:
    known = [*type(config).__dataclass_fields__, "processes"]
    for name in config.accept_changes:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            raise InputError(
                f"accept_changes: got {name!r}, expected names of settings. "
                f"{f'Did you mean {near[0]!r}?' if near else 'Remove it.'}"
            )
    if config.sync_ref_model:
        raise InputError(
            "sync_ref_model: got True, expected false. Checkpoints hold no reference model, so a "
            "run that goes on from one would have another reference. Remove it."
        )
    if config.push_to_hub and config.hub_strategy in ("checkpoint", "all_checkpoints"):
        raise InputError(
            f"hub_strategy: got {config.hub_strategy!r}, expected end or every_save. Checkpoints "
            "are written aside and renamed, which breaks off their upload."
        )


def _check_selfplay(config: "LabelFreeConfig") -> None:
    if config.selfplay is None:
        return
    read_selfplay(config.selfplay)
    # An episode's advantage is scaled for a sum over the tokens of a step, as dapo's is.
    needed = {
        "loss_type": "dapo",
        "token_selector": None,
        "loss_terms": {},
        "curriculum": {},
        "supervised": False,
        "dataset": "",
        "max_prompt_length": 0,
    }
    _check_beside(config, "selfplay", needed)


def _check_curriculum(config: "LabelFreeConfig") -> None:
    if build_curricula(config.curriculum):
        # Which prompts come next may depend on the batch before, and so cannot be asked for ahead;
        # and a rule orders prompts one by one, where the wordings of a problem belong together.
        _check_beside(config, "curriculum", {"max_staleness": 0, "views": None})


def _check_guards(config: "LabelFreeConfig") -> None:
    actions = {name: getattr(g, "action", "") for name, g in build_guards(config.guards).items()}
    for name, action in actions.items():
        if action == "roll_back" and config.save_strategy == "no":
            raise InputError(
                f"guards.{name}: got the action roll_back beside save_strategy 'no', expected "
                "checkpoints to go back to. Set save_strategy: steps and save_steps, or choose "
                "another action."
            )


def _check_beside(config: "LabelFreeConfig", setting: str, needed: Mapping[str, Any]) -> None:
    """Refuse the first field whose value does not go with a setting that is given."""
    for name, expected in needed.items():
        if getattr(config, name) != expected:
            raise InputError(
                f"{name}: got {getattr(config, name)!r} beside {setting}, expected {expected!r}. "
                "Remove one of the two."
            )
