"""What is odd about an evaluation, in a line each: labels nobody can meet, samples without answers.

A score of zero looks the same whether a model is wrong, says nothing, says it elsewhere than is
looked, or is held against a label that is none. So these are said aloud.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from rl.data.tables import short_repr
from rl.evaluation.records import SampleRecord

# Words that stand for a missing value in tables that something exported.
_MISSING = {"nan", "none", "null", "n/a", "na", "<na>", "-", "?"}
_LONG_LABEL = 200
_MOST = 0.5


def label_remarks(labels: Mapping[str, str]) -> list[str]:
    """Say which labels look like mistakes.

    Args:
        labels: Problem id -> label.

    Returns:
        A line for each kind of oddity, naming its first problem.

    Example:
        >>> label_remarks({"p1": "4", "p2": "5"})
        []
    """
    remarks = []
    for is_odd, what in _ODD_LABELS:
        found = [name for name, label in labels.items() if is_odd(label)]
        if found:
            first = f"problem {found[0]!r} has {short_repr(labels[found[0]])}"
            remarks.append(f"{_count(found, labels)} labels {what}: {first}")
    return remarks


_ODD_LABELS: tuple[tuple[Callable[[str], bool], str], ...] = (
    (
        lambda label: label.strip().lower() in _MISSING,
        "stand for a missing value, so that nothing is right",
    ),
    (
        lambda label: "####" in label,
        "hold ####, which no answer does; pass --answer_kind hashes, or write the answer alone",
    ),
    (
        lambda label: label.startswith(("[", "{")) and label.endswith(("]", "}")) and "'" in label,
        "look like a list or an object written as text",
    ),
    (
        lambda label: len(label) > _LONG_LABEL,
        f"are longer than {_LONG_LABEL} characters, as a whole solution is",
    ),
)


def sample_remarks(samples: Sequence[SampleRecord]) -> list[str]:
    """Say what is odd about graded samples.

    Args:
        samples: At least one.

    Returns:
        A line where every completion is empty, where at least half hold no answer (with what may be
        the reason), or where at least half were cut off.
    """
    if all(not sample.completion.strip() for sample in samples):
        return ["all completions are empty: check the model, its prompt template and its limits"]
    remarks = []
    empty = [s for s in samples if not s.completion.strip()]
    silent = [s for s in samples if s.answer is None]
    cut_off = [s for s in samples if s.truncated]
    if len(silent) >= _MOST * len(samples):
        reasons = [
            f"{len(found)} of these {what}"
            for what, found in (
                ("are empty", empty),
                ("were cut off at the length limit", [s for s in silent if s.truncated]),
                ("hold no </think>", [s for s in silent if _is_open_thought(s)]),
            )
            if found
        ]
        advice = "; ".join(reasons) or "see --answer_methods and --template"
        remarks.append(f"{_count(silent, samples)} completions hold no answer: {advice}")
    elif len(cut_off) >= _MOST * len(samples):
        remarks.append(
            f"{_count(cut_off, samples)} completions were cut off at the length limit: raise "
            "--max_completion_length"
        )
    return remarks


def _is_open_thought(sample: SampleRecord) -> bool:
    opened = sample.must_close_thought or "<think>" in sample.completion
    return opened and "</think>" not in sample.completion


def _count(found: Sequence[object], of: Iterable[object]) -> str:
    return f"{len(found)} of {len(list(of))}"
