"""Score completions that something else sampled: read them, grade them, file them as ours.

A line of the file is one sample:

    {"problem_id": "p1", "completion": "So the answer is 4.", "label": "4"}

and may hold, too: "sample" (number within the problem; else the order of the lines), "num_tokens",
"truncated", "finish_reason", "prompt" (text or messages), "seed", "choices" (letters of a multiple
choice, such as "ABCD"), "must_close_thought" (true where a completion without </think> holds no
answer), "rule" (how answers that are no maths are graded: exact, cover or docmath, see
`rl.evaluation.rules`), "aliases" (further right answers, for a rule), "strata" (groups of problems
to report, such as {"length": "short"}) and "prompt_cut" (true where a prompt lost its middle).
Other keys are ignored, so a samples.jsonl of this project can be scored as well.

A line may also be all samples of one problem: {"id": "p1", "completions": [...], "label": "4"}. In
both, "id" and "problem_id", "gold" and "label" stand for each other. And the file, or a folder of
files, may be what another tool left: see `rl.evaluation.exchange.formats`.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rl.answers import DEFAULT_METHODS
from rl.data.prompts import Prompt, prompt_id
from rl.data.tables import short_repr
from rl.errors import InputError, unknown_name
from rl.evaluation.evaluate import EvaluationResult, rescore
from rl.evaluation.exchange.formats import read_lines
from rl.evaluation.manifest import open_evaluation, origin
from rl.evaluation.metrics.summary import check_ks, default_ks, group_by_problem
from rl.evaluation.problems.kinds import after_hashes
from rl.evaluation.records import SampleRecord, write_problems, write_samples
from rl.evaluation.rules import RULES

_ID_KEYS = ("problem_id", "id")
_LABEL_KEYS = ("label", "gold")
# What a line may hold, and how it is told from a mistake; null is as good as nothing.
_OPTIONAL: dict[str, tuple[type, ...]] = {
    "sample": (int,),
    "num_tokens": (int,),
    "truncated": (bool,),
    "finish_reason": (str,),
    "seed": (int,),
    "choices": (str,),
    "must_close_thought": (bool,),
    "rule": (str,),
    "aliases": (list,),
    "strata": (dict,),
    "prompt_cut": (bool,),
    "latency_seconds": (int, float),
}


class SavedCompletions(NamedTuple):
    """What a file of completions holds.

    Attributes:
        samples: Ungraded; those of one problem together, problems in order of first appearance.
        prompts: Problem id -> its prompt, of the problems whose lines say it.
    """

    samples: list[SampleRecord]
    prompts: dict[str, Prompt]


def read_completions(path: Path, kind: str | None = None) -> SavedCompletions:
    """Read saved completions.

    Args:
        path: JSON lines, plain or .gz, or another tool's samples; the module's docstring says what
            a line holds.
        kind: "hashes" where labels are solutions with the answer after `####`; None: as they are.

    Raises:
        InputError: If the file or a line is not as said, a sample is there twice, or problems
            differ in their number of samples or a problem's lines in their label.
    """
    if not path.exists():
        raise InputError(f"--score: got {path}, expected a file that exists. Check the path.")
    samples: dict[str, dict[int, SampleRecord]] = {}
    prompts: dict[str, Prompt] = {}
    for where, value in read_lines(path):
        for record in _records(value, where, kind, lambda name: len(samples.get(name, {}))):
            group = samples.setdefault(record.problem_id, {})
            if record.sample in group:
                raise InputError(
                    f"{where}: got sample {record.sample} of problem {record.problem_id!r} "
                    "again, expected each once. Remove one, or leave the numbers out."
                )
            first = next(iter(group.values()), record)
            same = (record.choices, record.rule) == (first.choices, first.rule)
            if not same or record.accepted != first.accepted:
                raise InputError(
                    f"{where}: got label {short_repr(record.label)} for problem "
                    f"{record.problem_id!r}, expected {short_repr(first.label)} as before. "
                    "Correct one of them, or give the problems different ids."
                )
            group[record.sample] = record
            if value.get("prompt") is not None:
                prompts[record.problem_id] = value["prompt"]
    sizes = {name: len(group) for name, group in samples.items()}
    if not sizes:
        raise InputError(f"--score: got no lines in {path}, expected at least one. Check the file.")
    if len(set(sizes.values())) > 1:
        least, most = min(sizes, key=lambda n: sizes[n]), max(sizes, key=lambda n: sizes[n])
        raise InputError(
            f"{path}: got {sizes[least]} samples of problem {least!r} and {sizes[most]} of "
            f"{most!r}, expected the same number of each. Complete or remove the shorter ones."
        )
    flat = (sample for group in samples.values() for sample in group.values())
    grouped = [sample for group in group_by_problem(flat).values() for sample in group]
    return SavedCompletions(samples=grouped, prompts=prompts)


def score_file(
    path: Path,
    output_dir: Path,
    *,
    ks: Sequence[int] | None = None,
    thresholds: Sequence[float] = (),
    methods: Sequence[str] = DEFAULT_METHODS,
    kind: str | None = None,
    show_progress: bool = False,
) -> EvaluationResult:
    """Grade saved completions and leave the files of an evaluation.

    Args:
        path: What `read_completions` reads.
        output_dir: Made if it does not exist; what was scored from the same file is replaced.
        ks: Sizes k of pass@k and maj@k, in [1, n]; None takes `default_ks(n)`.
        thresholds: Shares t of G-Pass@k_t, in (0, 1].
        methods: Where an answer is looked for; a multiple choice has its own way.
        kind: As for `read_completions`.
        show_progress: Whether to show a bar.

    Raises:
        InputError: As `read_completions`; if a k is out of range, or the folder holds samples of
            something else.
    """
    samples, prompts = read_completions(path, kind)
    labels = {sample.problem_id: sample.label for sample in samples}
    num_problems = len(labels)
    num_samples = len(samples) // num_problems
    manifest = {
        "settings": {"scored_file_sha256": _hash(path)},
        "scored_file": str(path),
        "num_problems": num_problems,
        "num_samples": num_samples,
        "k": check_ks(ks or default_ks(num_samples), num_samples),
        **origin(methods),
    }
    open_evaluation(output_dir, manifest)
    write_problems(
        output_dir,
        (
            {"problem_id": name, "prompt": prompts.get(name), "question": None, "label": label}
            for name, label in labels.items()
        ),
    )
    write_samples(output_dir, samples)
    return rescore(output_dir, methods=methods, show_progress=show_progress, thresholds=thresholds)


def _hash(path: Path) -> str:
    """Hash a file, or all files of a folder in the order of their names."""
    files = sorted(one for one in path.iterdir() if one.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _records(
    value: Any, where: str, kind: str | None, num_known: Callable[[str], int]
) -> Iterator[SampleRecord]:
    if not isinstance(value, dict):
        raise InputError(
            f"{where}: got {short_repr(value)}, expected an object. Write one JSON object a line."
        )
    name = str(_first_of(value, _ID_KEYS, (str, int), where))
    label = _label(value, kind, where)
    facts = {key: _fact(value, key, kinds, where) for key, kinds in _OPTIONAL.items()}
    rule, aliases = facts["rule"], [str(alias) for alias in facts["aliases"] or ()]
    if rule is not None and rule not in RULES:
        raise unknown_name(f"{where}: rule", rule, list(RULES))
    prompt = value.get("prompt")
    saved_id = value.get("prompt_id")
    if prompt is not None:
        saved_id = prompt_id(prompt if isinstance(prompt, str) else json.dumps(prompt))
    if "completions" in value:
        completions: Iterable[Any] = value["completions"]
        if not isinstance(completions, list) or facts["sample"] is not None:
            raise InputError(
                f"{where}: got completions {short_repr(completions)}, expected a list of texts and "
                "no sample number. Correct the line."
            )
        facts |= {"num_tokens": None, "truncated": None, "finish_reason": None}
    else:
        completions = [_first_of(value, ("completion",), (str,), where)]
    number = facts.pop("sample")
    start = num_known(name) if number is None else number
    for i, completion in enumerate(completions, start=start):
        if not isinstance(completion, str) or i < 0:
            raise InputError(
                f"{where}: got completion {short_repr(completion)}, expected text with a number "
                "from 0. Correct the line."
            )
        yield SampleRecord(
            problem_id=name,
            sample=i,
            prompt_id=str(saved_id or ""),
            completion=completion,
            label=label,
            **{
                **facts,
                "must_close_thought": bool(facts["must_close_thought"]),
                "aliases": tuple(aliases),
                "strata": {str(k): str(v) for k, v in (facts["strata"] or {}).items()},
                "prompt_cut": bool(facts["prompt_cut"]),
            },
        )


def _label(value: dict[str, Any], kind: str | None, where: str) -> str:
    found = _first_of(value, _LABEL_KEYS, (str, int, float), where)
    if isinstance(found, float) and math.isnan(found):
        raise InputError(
            f"{where}: got NaN for label, expected the right answer. Fill it in or remove the line."
        )
    return after_hashes(str(found), where) if kind == "hashes" else str(found)


def _first_of(
    value: dict[str, Any], keys: Sequence[str], kinds: tuple[type, ...], where: str
) -> Any:
    for key in keys:
        if value.get(key) is not None:
            found = value[key]
            if not isinstance(found, kinds) or isinstance(found, bool) or found == "":
                break
            return found
    found = {key: value[key] for key in keys if key in value}
    if keys == ("completion",) and found.get("completion") == "":
        return ""
    raise InputError(
        f"{where}: got {short_repr(found or 'no such key')} for {keys[0]}, expected "
        f"{' or '.join(kind.__name__ for kind in kinds)}, not empty. Each line needs problem_id, "
        "completion (or completions) and label."
    )


def _fact(value: dict[str, Any], key: str, kinds: tuple[type, ...], where: str) -> Any:
    found = value.get(key)
    if found is not None and (
        not isinstance(found, kinds) or (isinstance(found, bool) and bool not in kinds)
    ):
        raise InputError(
            f"{where}: got {short_repr(found)} for {key}, expected "
            f"{' or '.join(kind.__name__ for kind in kinds)}. Correct it or leave it out."
        )
    return found
