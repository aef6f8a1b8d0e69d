"""The benchmarks that go by a name: where they are, how their rows are read, how they are put."""

from collections.abc import Sequence
from pathlib import Path

from rl.errors import InputError, unknown_name
from rl.evaluation.problems.benchmark_spec import BenchmarkSpec
from rl.evaluation.problems.expert import EXPERT
from rl.evaluation.problems.visual import VISUAL

_SUFFIXES = (".jsonl", ".json", ".csv", ".parquet", ".gz")


def _matharena(name: str, size: int) -> BenchmarkSpec:
    return BenchmarkSpec(
        hub_id=f"MathArena/{name}", split="train", id_column="problem_idx", size=size
    )


def _longbench(name: str) -> BenchmarkSpec:
    return BenchmarkSpec(
        hub_id="THUDM/LongBench",
        config_name=name,
        prompt_column="input",
        label_column="answers",
        id_column="_id",
        documents_column="context",
        size=200,
        kind="document_cover",
        template="spell-question",
        note=f"of SPELL; a script on the hub, which datasets 4 refuses: {name}.jsonl of data.zip",
    )


BENCHMARKS: dict[str, BenchmarkSpec] = {
    "aime24": BenchmarkSpec(hub_id="HuggingFaceH4/aime_2024", split="train", size=30),
    "aime25": _matharena("aime_2025", 30),
    "aime26": _matharena("aime_2026", 30),
    "amc23": BenchmarkSpec(
        hub_id="zwhe99/amc23",
        prompt_column="question",
        size=40,
        note="not the 83 problems of amc12_val83",
    ),
    "amc12_val83": BenchmarkSpec(
        hub_id="AI-MO/aimo-validation-amc",
        split="train",
        size=83,
        note="the AMC of TTRL, EVOL-RL and RENT; not amc23",
    ),
    "math500": BenchmarkSpec(hub_id="HuggingFaceH4/MATH-500", id_column="unique_id", size=500),
    "minerva": BenchmarkSpec(hub_id="zwhe99/simplerl-minerva-math", size=272),
    "olympiadbench": BenchmarkSpec(
        hub_id="zwhe99/simplerl-OlympiadBench",
        prompt_column="question",
        label_column="final_answer",
        size=675,
        note="maths, English, text only",
    ),
    "hmmt_feb_2025": _matharena("hmmt_feb_2025", 30),
    "hmmt_nov_2025": _matharena("hmmt_nov_2025", 30),
    "hmmt_feb_2026": _matharena("hmmt_feb_2026", 33),
    "brumo_2025": _matharena("brumo_2025", 30),
    "cmimc_2025": _matharena("cmimc_2025", 40),
    "smt_2025": _matharena("smt_2025", 53),
    "apex_2025": _matharena("apex_2025", 12),
    "apex_shortlist": _matharena("apex-shortlist", 48),
    "gsm8k": BenchmarkSpec(
        hub_id="openai/gsm8k",
        config_name="main",
        prompt_column="question",
        size=1319,
        kind="hashes",
    ),
    **EXPERT,
    **VISUAL,
    "docmath": BenchmarkSpec(
        hub_id="yale-nlp/DocMath-Eval",
        split="complong_testmini+compshort_testmini+simplong_testmini+simpshort_testmini",
        prompt_column="question",
        label_column="ground_truth",
        id_column="question_id",
        documents_column="paragraphs",
        size=800,
        kind="document_number",
        template="spell-number",
        is_gated=True,
        note="of SPELL; the four testmini splits, 300, 200, 100 and 200 problems",
    ),
    "frames": BenchmarkSpec(
        hub_id="Tongyi-Zhiwen/frames",
        prompt_column="Prompt",
        label_column="Answer",
        documents_column="wiki_items",
        size=824,
        kind="document_cover",
        template="spell-question",
        note="of SPELL; google/frames-benchmark with the articles that it only links; published "
        "with a language model as judge, here without",
    ),
    "longbench_v2": BenchmarkSpec(
        hub_id="zai-org/LongBench-v2",
        split="train",
        prompt_column="question",
        id_column="_id",
        options_columns=("choice_A", "choice_B", "choice_C", "choice_D"),
        documents_column="context",
        strata_columns=("difficulty", "length", "domain"),
        size=503,
        kind="document_choice",
        template="longbench-v2",
        note="of SPELL",
    ),
    "longbench_hotpotqa": _longbench("hotpotqa"),
    "longbench_2wikimqa": _longbench("2wikimqa"),
    "longbench_musique": _longbench("musique"),
    "hotpotqa": BenchmarkSpec(
        hub_id="hotpotqa/hotpot_qa",
        config_name="distractor",
        split="validation",
        prompt_column="question",
        id_column="id",
        documents_column="context",
        strata_columns=("type",),
        size=7405,
        kind="document_exact",
        template="spell-question",
        note="or hotpot_dev_distractor_v1.json",
    ),
    "2wikimultihopqa": BenchmarkSpec(
        hub_id="Salesforce/ContextualBench",
        config_name="2WikiMultihopQA",
        split="dev",
        prompt_column="question",
        id_column="_id",
        documents_column="context",
        aliases_column="answer_aliases",
        strata_columns=("type",),
        size=12576,
        kind="document_exact",
        template="spell-question",
        note="or the authors' dev.json; their aliases are a file apart: put them in answer_aliases",
    ),
    "musique": BenchmarkSpec(
        hub_id="dgslibisey/MuSiQue",
        split="validation",
        prompt_column="question",
        id_column="id",
        documents_column="paragraphs",
        aliases_column="answer_aliases",
        size=2417,
        kind="document_exact",
        template="spell-question",
        note="the answerable questions, musique_ans_v1.0_dev.jsonl",
    ),
}


def split_name(text: str) -> tuple[str | None, str | None]:
    """Read how a benchmark was named.

    Returns:
        (name in `BENCHMARKS` or None, file or hub id or None): `aime24` is ("aime24", None),
        `aime24=FILE` is ("aime24", "FILE"), anything else is (None, text). A file that exists is
        always a file.

    Example:
        >>> split_name("aime24"), split_name("aime24=a.json"), split_name("a.json")
        (('aime24', None), ('aime24', 'a.json'), (None, 'a.json'))
    """
    if Path(text).expanduser().is_file():
        return None, text
    name, equals, path = text.partition("=")
    if name in BENCHMARKS and (path or not equals):
        return name, path or None
    return None, text


def check_name(text: str) -> None:
    """Check that what is no known name looks like a file, a folder or a hub id.

    Raises:
        InputError: If it is one word and nothing of that name lies here: a name that is mistyped.
    """
    name, _, path = text.partition("=")
    is_word = not any(sign in name for sign in "/\\.") and not Path(text).expanduser().exists()
    if is_word and (path or name == text):
        raise unknown_name("--benchmark", name, list(BENCHMARKS))


def short_name(text: str) -> str:
    """Return what a benchmark's folder is called: its name, or that of its file or dataset.

    Example:
        >>> short_name("aime24=x/y.json"), short_name("x/heldout.jsonl.gz"), short_name("owner/set")
        ('aime24', 'heldout', 'set')
    """
    name, path = split_name(text)
    if name is not None:
        return name
    last = Path(path or text).name
    return last.partition(".")[0] if Path(text).suffix in _SUFFIXES else last


def split_benchmarks(texts: Sequence[str]) -> list[str]:
    """Read what `--benchmark` was given: each text is one place, or several with commas.

    Raises:
        InputError: If two would be filed under one name.

    Example:
        >>> split_benchmarks(["aime24,math500", "own.jsonl"])
        ['aime24', 'math500', 'own.jsonl']
    """
    places = []
    for text in texts:
        is_one = Path(split_name(text)[1] or text).expanduser().exists()
        places += [text] if is_one else [part.strip() for part in text.split(",") if part.strip()]
    names = [short_name(place) for place in places]
    twice = [name for name in names if names.count(name) > 1]
    if twice or not places:
        raise InputError(
            f"--benchmark: got {', '.join(places) or 'none'}, expected benchmarks with different "
            "names, because each has a folder of its own. Evaluate them in separate calls."
        )
    return places
