"""What every rollout engine keeps to (`rl.rollouts.engine.RolloutEngine`), as checks to run on one.

Votes that stop early, resumed runs and runs on another number of ranks sample the same completions
only if an engine keeps to all of it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from rl.rollouts.branching.contract import takes_limits
from rl.rollouts.engine import RolloutEngine, Sample, with_settings

NUM_SAMPLES = 8
_NUMBER = "as many samples of each prompt as asked for"
_LIMITS = "max_lengths cut a completion off where it would go on"
_STOP = "a stop string ends a completion, and its last token belongs to it"

Decode = Callable[[list[int]], str]
Drawn = list[list[list[int]]]


def check_engine(
    engine: RolloutEngine,
    prompt_ids: Sequence[list[int]],
    seeds: Sequence[int],
    end_token_ids: Sequence[int],
    decode: Decode | None = None,
) -> dict[str, str | None]:
    """Put an engine through its contract.

    Args:
        engine: Samples at a temperature above 0.
        prompt_ids: At least two tokenized prompts, of different lengths if padding is to be tried.
        seeds: One per prompt.
        end_token_ids: Tokens that end a completion.
        decode: Turns tokens into text, special tokens included; None leaves stop strings untried.

    Returns:
        Promise -> what is wrong with it, None where it is kept.
    """
    prompts, seeds = list(prompt_ids), list(seeds)
    flat = list(chain.from_iterable(samples := engine.generate(prompts, NUM_SAMPLES, seeds)))
    drawn, other_seeds = _tokens(samples), [seed ^ 1 for seed in seeds]
    layouts: dict[str, tuple[Drawn, Drawn]] = {
        "no prompts give no samples": (_tokens(engine.generate([], NUM_SAMPLES, [])), []),
        "the same call gives the same samples": (_draw(engine, prompts, seeds), drawn),
        "fewer samples are the first of more": (
            _draw(engine, prompts, seeds, 3),
            [group[:3] for group in drawn],
        ),
        "first_sample goes on where a call stopped": (
            _tokens(engine.generate(prompts, NUM_SAMPLES - 3, seeds, 3)),
            [group[3:] for group in drawn],
        ),
        "the order of prompts does not matter": (
            _draw(engine, prompts[::-1], seeds[::-1])[::-1],
            drawn,
        ),
        "prompts of a call do not matter to each other": (
            [_draw(engine, [p], [s])[0] for p, s in zip(prompts, seeds, strict=True)],
            drawn,
        ),
    }
    findings = {
        _NUMBER: _lengths(drawn, len(prompts)),
        **{name: None if a == b else f"got {a}, expected {b}" for name, (a, b) in layouts.items()},
        "other seeds give other samples": (
            "got the same" if _draw(engine, prompts, other_seeds) == drawn else None
        ),
        "samples of a prompt differ": (
            "got equal ones" if all(len(set(map(tuple, g))) == 1 for g in drawn) else None
        ),
    }
    limit = engine.settings.max_completion_length
    for name, check in _OF_A_SAMPLE.items():
        problems = (check(sample, limit, end_token_ids) for sample in flat)
        findings[name] = next(filter(None, problems), None)
    findings |= _check_limits(engine, prompts, seeds, samples)
    if decode is not None:
        findings[_STOP] = _check_stop_strings(engine, prompts, seeds, drawn, decode)
    return findings


def _check_limits(
    engine: Any, prompts: list[list[int]], seeds: list[int], samples: Sequence[Sequence[Sample]]
) -> dict[str, str | None]:
    """Sample again, each prompt with a limit of its own, where the engine takes any."""
    if not takes_limits(engine):
        return {}
    limits = [1 + 2 * number for number in range(len(prompts))]
    limited = engine.generate(prompts, NUM_SAMPLES, seeds, max_lengths=limits)
    for group, cut, limit in zip(samples, limited, limits, strict=True):
        expected = [
            (one.completion_ids[:limit], one.truncated or len(one.completion_ids) > limit)
            for one in group
        ]
        found = [(one.completion_ids, one.truncated) for one in cut]
        if found != expected:
            return {_LIMITS: f"got {found} with at most {limit} tokens, expected {expected}"}
    return {_LIMITS: None}


def _check_stop_strings(
    engine: RolloutEngine,
    prompts: list[list[int]],
    seeds: list[int],
    drawn: Drawn,
    decode: Decode,
) -> str | None:
    """Sample again, with the middle of what was sampled as stop strings: all else stays the same.

    One is a single token's text. The other, of two tokens, stands in the first prompt as well where
    the prompt is put before it, which must stop nothing.
    """
    longest = max(chain.from_iterable(drawn), key=len)
    middle = len(longest) // 2
    stops = (decode(longest[middle : middle + 1]), decode(longest[-3:-1]))
    if not all(stops):
        return f"got no text from the tokens {longest}, so that nothing could be tried"
    prompts = [[*longest[-3:-1], *prompts[0]], *prompts[1:]]
    whole = engine.generate(prompts, NUM_SAMPLES, seeds)
    stopped = with_settings(engine, replace(engine.settings, stop_strings=stops))
    for full, cut in zip(
        chain.from_iterable(whole),
        chain.from_iterable(stopped.generate(prompts, NUM_SAMPLES, seeds)),
        strict=True,
    ):
        ids = full.completion_ids
        holds = [n for n in range(1, len(ids) + 1) if any(s in decode(ids[:n]) for s in stops)]
        expected = (ids[: holds[0]], False) if holds else (ids, full.truncated)
        if (cut.completion_ids, cut.truncated) != expected:
            found = cut.completion_ids, cut.truncated
            return f"got {found} with the stop strings {stops}, expected {expected}"
    return None


def _draw(
    engine: RolloutEngine, prompts: list[list[int]], seeds: list[int], number: int = NUM_SAMPLES
) -> Drawn:
    return _tokens(engine.generate(prompts, number, seeds))


def _tokens(samples: Sequence[Sequence[Sample]]) -> Drawn:
    return [[list(sample.completion_ids) for sample in group] for group in samples]


def _lengths(drawn: Drawn, num_prompts: int) -> str | None:
    found = [len(group) for group in drawn]
    return None if found == [NUM_SAMPLES] * num_prompts else f"got {found} of {NUM_SAMPLES} each"


def _check_length(sample: Sample, limit: int, end_token_ids: Sequence[int]) -> str | None:
    length = len(sample.completion_ids)
    return None if 1 <= length <= limit else f"got {length} tokens, expected 1 to {limit}"


def _check_end(sample: Sample, limit: int, end_token_ids: Sequence[int]) -> str | None:
    *body, last = sample.completion_ids or [None]
    if any(token in end_token_ids for token in body):
        return f"got tokens after an end token: {sample.completion_ids}"
    if sample.truncated == (last in end_token_ids):
        return f"got truncated={sample.truncated} with the last token {last}"
    if sample.truncated and len(sample.completion_ids) < limit:
        return f"got truncated=True after {len(sample.completion_ids)} of {limit} tokens"
    return None


def _check_logps(sample: Sample, limit: int, end_token_ids: Sequence[int]) -> str | None:
    logps = sample.sampling_per_token_logps
    if logps is None:
        return None
    if len(logps) != len(sample.completion_ids):
        return f"got {len(logps)} for {len(sample.completion_ids)} tokens"
    wrong = [logp for logp in logps if not math.isfinite(logp) or logp > 1e-4]
    return f"got {wrong[0]}, expected at most 0" if wrong else None


_OF_A_SAMPLE = {
    "completions have 1 to max_completion_length tokens": _check_length,
    "an end token ends a completion, and belongs to it": _check_end,
    "a log-probability for every token, or none at all": _check_logps,
}
