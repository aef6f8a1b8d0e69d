"""Trees of completions: roots, the branches that leave them, and what fills the group up."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain

from rl.errors import InputError
from rl.plugins import call_plugin
from rl.rollouts.branching.contract import BranchingEngine, BranchingRule, Fork, TokenRow
from rl.rollouts.engine import Images, Sample, derive_seed, images_argument
from rl.types import Branch

# Completions, each with its prompt's tokens, and their prompts' images -> what rules are told.
Measure = Callable[[Sequence[tuple[list[int], Sample]], Images], list[TokenRow]]


def sample_trees(
    engine: BranchingEngine,
    prompt_ids: Sequence[list[int]],
    seeds: Sequence[int],
    num_samples: int,
    rule: BranchingRule,
    measure: Measure,
    join_ranks: Callable[[list[int]], list[int]],
    images: Images = None,
) -> list[list[Sample]]:
    """Sample each prompt's completions as trees.

    A group is its roots, then the branches, then as many completions from the prompt on as are
    still missing. Those from the prompt on are the first ones that plain sampling gives, so that
    without a fork nothing differs from it. A branch depends on its prompt, the prompt's seed, its
    root, its position and its number among the branches there, so neither on other prompts nor on
    other forks. Every rank must call it.

    Args:
        engine: Samples.
        prompt_ids: P tokenized prompts.
        seeds: One per prompt.
        num_samples: Completions of each prompt, at least `rule.num_roots`.
        rule: Chooses the forks.
        measure: Tells what the policy thought of completions. Collective.
        join_ranks: Numbers of this rank -> those of all ranks.
        images: Of each prompt.

    Returns:
        For each prompt its `num_samples` completions; `completion_ids` are whole.
    """
    prompts, seeds = list(prompt_ids), list(seeds)
    roots = engine.generate(prompts, rule.num_roots, seeds, **images_argument(images))
    rows = iter(measure(_with_prompts(prompts, roots), _of_each(images, roots)))
    plans = [
        plan_forks(rule, [next(rows) for _ in of_prompt], num_samples - len(of_prompt))
        for of_prompt in roots
    ]
    branches = _grow(engine, prompts, seeds, roots, plans, images)
    samples = [[*root, *branch] for root, branch in zip(roots, branches, strict=True)]
    missing = [num_samples - len(of_prompt) for of_prompt in samples]
    # Sampling from a sharded model is collective, so all ranks make the same calls.
    for number in sorted({n for n in join_ranks(missing) if n}):
        short = [p for p, n in enumerate(missing) if n == number]
        more = engine.generate(
            [prompts[p] for p in short],
            number,
            [seeds[p] for p in short],
            first_sample=rule.num_roots,
            **images_argument(images and [images[p] for p in short]),
        )
        for p, of_prompt in zip(short, more, strict=True):
            samples[p] += of_prompt
    return _prune(rule, prompts, samples, measure, images)


def plan_forks(
    rule: BranchingRule, roots: Sequence[TokenRow], budget: int
) -> list[tuple[int, Fork]]:
    """Choose the forks of a prompt's roots, no more branches than there is room for.

    Where there are too many, the first forks of all roots come before the second ones.

    Args:
        rule: Chooses.
        roots: What it is told of each root.
        budget: Most branches.

    Returns:
        Number of the root and fork, in the order of roots, then of the rule.

    Raises:
        InputError: If the rule chooses a position that is not there, or one twice.
    """
    chosen = []
    for number, root in enumerate(roots):
        forks = call_plugin(f"branching, forks of {type(rule).__name__}", rule.forks, root)
        is_forks = isinstance(forks, list | tuple) and all(isinstance(f, Fork) for f in forks)
        if not is_forks or any(fork.num_branches < 1 for fork in forks):
            raise InputError(
                f"branching: got {str(forks)[:200]} from {type(rule).__name__}.forks, expected a "
                "list of rl.rollouts.branching.contract.Fork with num_branches from 1 on. Mend it."
            )
        positions = [fork.position for fork in forks]
        if not set(positions) <= set(range(root.num_positions)) or len(set(positions)) < len(forks):
            raise InputError(
                f"branching: got forks at the positions {positions}, expected some of 0 to "
                f"{root.num_positions - 1}, each once. Mend the rule's `forks`."
            )
        chosen += [(rank, number, fork) for rank, fork in enumerate(forks)]
    kept = []
    for rank, number, fork in sorted(chosen, key=lambda one: one[:2]):
        width = min(fork.num_branches, budget)
        budget -= width
        if width:
            kept.append((number, rank, replace(fork, num_branches=width)))
    return [(number, fork) for number, _, fork in sorted(kept, key=lambda one: one[:2])]


def join(root: Sample, branch: Branch, rest: Sample) -> Sample:
    """Return the completion that begins as the root and goes on as what was sampled at a fork."""
    prefix, logps = root.completion_ids[: branch.position], None
    if root.sampling_per_token_logps is not None and rest.sampling_per_token_logps is not None:
        logps = [
            *root.sampling_per_token_logps[: branch.position],
            *rest.sampling_per_token_logps,
        ]
    return Sample(
        completion_ids=[*prefix, *rest.completion_ids],
        truncated=rest.truncated,
        sampling_per_token_logps=logps,
        branch=branch,
    )


def cut(sample: Sample, num_kept: int) -> Sample:
    """Return the first tokens of a completion, as one that did not come to its end."""
    logps = sample.sampling_per_token_logps
    return replace(
        sample,
        completion_ids=sample.completion_ids[:num_kept],
        truncated=True,
        sampling_per_token_logps=None if logps is None else logps[:num_kept],
        num_pruned=len(sample.completion_ids) - num_kept,
    )


def _grow(
    engine: BranchingEngine,
    prompts: list[list[int]],
    seeds: list[int],
    roots: list[list[Sample]],
    plans: list[list[tuple[int, Fork]]],
    images: Images,
) -> list[list[Sample]]:
    """Sample all branches of all prompts in one call, those of a fork with the same prompt."""
    limit = engine.settings.max_completion_length
    wanted = [
        (p, Branch(root=root, position=fork.position), number)
        for p, plan in enumerate(plans)
        for root, fork in plan
        for number in range(fork.num_branches)
    ]
    rests = engine.generate(
        [prompts[p] + roots[p][b.root].completion_ids[: b.position] for p, b, _ in wanted],
        1,
        [derive_seed(seeds[p], "branch", b.root, b.position, number) for p, b, number in wanted],
        max_lengths=[limit - b.position for _, b, _ in wanted],
        **images_argument(images and [images[p] for p, _, _ in wanted]),
    )
    branches: list[list[Sample]] = [[] for _ in prompts]
    for (p, branch, _), [rest] in zip(wanted, rests, strict=True):
        branches[p].append(join(roots[p][branch.root], branch, rest))
    return branches


def _prune(
    rule: BranchingRule,
    prompts: list[list[int]],
    samples: list[list[Sample]],
    measure: Measure,
    images: Images,
) -> list[list[Sample]]:
    num_kept = getattr(rule, "num_kept", None)
    if num_kept is None:
        return samples
    rows = iter(measure(_with_prompts(prompts, samples), _of_each(images, samples)))

    def prune(sample: Sample) -> Sample:
        number = call_plugin(f"branching, num_kept of {type(rule).__name__}", num_kept, next(rows))
        if number is None or number >= len(sample.completion_ids):
            return sample
        return cut(sample, number)

    return [[prune(sample) for sample in of_prompt] for of_prompt in samples]


def _with_prompts(
    prompts: Sequence[list[int]], samples: Sequence[Sequence[Sample]]
) -> list[tuple[list[int], Sample]]:
    pairs = zip(prompts, samples, strict=True)
    return list(chain.from_iterable([(ids, s) for s in row] for ids, row in pairs))


def _of_each(images: Images, samples: Sequence[Sequence[Sample]]) -> Images:
    """Repeat the images of each prompt for its samples."""
    if not images:
        return None
    return [own for own, of_prompt in zip(images, samples, strict=True) for _ in of_prompt]
