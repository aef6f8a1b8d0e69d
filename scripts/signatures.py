"""Count the published claims in a study on the testbed of strategies: ways kept, votes, forks."""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl.data.json_lines import read_json_lines
from rl.errors import InputError, exit_on_bad_input
from rl.report.folders import is_finished

if TYPE_CHECKING:
    from rl.report.studies import Study, StudyRow, StudyRun

EPILOG = """
examples:
  python scripts/signatures.py recipes/studies/strategies.yaml --output_dir runs/study_strategies

Reads the rollouts that the study's finished runs left, and samples each base model for the forks.
"The end" is the last visit to each prompt within the last tenth of a run's steps.
"""
COLUMNS = {
    "guess": "guess",
    "left to right": "left to right",
    "positives first": "positives first",
    "solved in both ways": "both ways",
    "rarer way is paid more": "rarer way",
    "votes kept": "kept",
    "learned": "learned",
    "lost": "lost",
    "never": "never",
}
FORKS = {
    "tokens selected": "selected",
    "precision": "precision",
    "recall: way": "recall way",
    "guess": "recall guess",
    "result": "recall result",
    "box": "recall box",
}
NUM_SAMPLES = 4
LAST_SHARE = 0.1


@exit_on_bad_input()
def main() -> None:
    """Count, then print two tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", help="the study's YAML file")
    parser.add_argument("--output_dir", type=Path, required=True, help="where compare.py put it")
    arguments = parser.parse_args()

    from rl.report.studies import differences_table, load_study, markdown_table

    study = load_study(arguments.study)
    check_study(study)
    rows = count_ways_and_votes(study, arguments.output_dir)
    if not rows:
        raise InputError(
            f"--output_dir: got {arguments.output_dir} without the rollouts of a finished run, "
            "expected at least one. Run scripts/compare.py first."
        )
    for variant in dict.fromkeys(row.variant for row in rows):
        under = [row for row in rows if row.variant == variant]
        print(f"\n{variant}:\n")
        print(markdown_table(under, COLUMNS))
        print(differences_table(under, COLUMNS))
    print("Forks of the base models, by preset of the selector:\n")
    print(markdown_table(find_forks(study), FORKS))


def check_study(study: "Study") -> None:
    """Check that a study names its base models and its problems, as those on this testbed do.

    Raises:
        InputError: If one of them is missing.
    """
    for run in study.runs:
        model, dataset = (str(run.settings.get(name, "")) for name in ("model", "dataset"))
        if not (Path(model).is_dir() and Path(dataset).is_file()):
            raise InputError(
                f"study variants.{run.variant}: got the model {model!r} and the dataset "
                f"{dataset!r}, expected a folder and a file of labelled problems. Build them with "
                "scripts/build_testbed.py --strategies, or name a study on that testbed."
            )


def count_ways_and_votes(study: "Study", output_dir: Path) -> "list[StudyRow]":
    """Count what the rollouts of every method's runs show."""
    from tqdm import tqdm

    from rl.report.studies import StudyRow

    found: dict[tuple[str, str], dict[str, dict[str, float]]] = {}
    for run in tqdm(study.runs, desc="runs", leave=False):
        folder = output_dir / run.name
        if is_finished(folder) and any(rollout_files(folder)):
            runs = found.setdefault((run.variant, run.method), {})
            runs[f"{run.base}-{run.seed}"] = count_run(folder, read_labels(run))
    return [
        StudyRow(
            method=method,
            variant=variant,
            runs=list(runs),
            values={
                name: [counted[name] for counted in runs.values() if name in counted]
                for name in COLUMNS.values()
            },
        )
        for (variant, method), runs in found.items()
    ]


def count_run(folder: Path, labels: Mapping[str, str]) -> dict[str, float]:
    """Count one run: ways at its end, pay of the rarer way over all of it, votes first and last."""
    from rl.testbed.signatures import (
        both_ways_share,
        rarer_way_is_paid_more,
        read_visits,
        strategy_shares,
        turned_votes,
    )

    visits = read_visits(read_rollouts(folder), labels)
    end = (1 - LAST_SHARE) * visits[-1][0]
    first = {visit.prompt: visit for _, visit in reversed(visits)}
    last = {visit.prompt: visit for _, visit in visits}
    at_end = list({visit.prompt: visit for step, visit in visits if step > end}.values())
    optional = {
        "both ways": both_ways_share(at_end),
        "rarer way": rarer_way_is_paid_more([visit for _, visit in visits]),
    }
    return {
        **strategy_shares(at_end),
        **turned_votes(list(first.values()), list(last.values())),
        **{name: value for name, value in optional.items() if value is not None},
    }


def read_rollouts(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield all lines of a run's rollout files, step by step."""
    from rl.training.rollout_files import read_rollout_file

    for path in rollout_files(folder):
        for line in read_rollout_file(path):
            yield line.value


def rollout_files(folder: Path) -> list[Path]:
    """List a run's rollout files in the order of their steps."""
    return sorted((folder / "rollouts").glob("step_*.jsonl.gz"))


def read_labels(run: "StudyRun") -> dict[str, str]:
    """Read the labels of a run's training prompts.

    Raises:
        InputError: If a line has none.
    """
    path = Path(run.settings["dataset"])
    labels = {}
    with path.open("rb") as file:
        for number, row, _ in read_json_lines(file, path):
            if not isinstance(row, dict) or not {"prompt", "label"} <= row.keys():
                raise InputError(
                    f'{path} line {number}: got {str(row)[:60]!r}, expected {{"prompt": ..., '
                    '"label": ...}. Name the labelled problems in the study.'
                )
            labels[row["prompt"]] = row["label"]
    return labels


def find_forks(study: "Study") -> "list[StudyRow]":
    """Hold what SPINE's selector takes of the base models' tokens against what they decide."""
    from rewards import get_token_selector
    from rl.report.studies import StudyRow
    from rl.testbed.signatures import selected_kinds

    bases = {run.settings["model"]: run for run in study.runs}
    sampled = {name: sample_base(name, list(read_labels(run))) for name, run in bases.items()}
    rows = []
    for preset in ("v1", "v2", "anchored"):
        found = []
        for entropies, mask, groups, kinds in sampled.values():
            selector = get_token_selector("entropy_band", preset=preset)
            weights = selector(entropies, mask, groups).weights.bool()
            pairs = zip(weights, kinds, strict=True)
            found.append(selected_kinds(kinds, [row[: len(k)].tolist() for row, k in pairs]))
        values = {name: [one[name] for one in found] for name in FORKS.values()}
        rows.append(StudyRow(method=preset, variant="", runs=list(bases), values=values))
    return rows


def sample_base(model_folder: str, prompts: list[str]) -> tuple[Any, Any, Any, list[Any]]:
    """Sample a base model; return entropies and mask (B, T), groups (B,) and kinds of tokens."""
    import torch
    from torch.nn.utils.rnn import pad_sequence
    from tqdm import tqdm
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from rl.groups.token_statistics import logit_statistics
    from rl.rollouts.engine import SamplingSettings
    from rl.rollouts.transformers_engine import TransformersEngine
    from rl.testbed.signatures import token_kinds

    model: Any = AutoModelForCausalLM.from_pretrained(model_folder)
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    engine = TransformersEngine(model, tokenizer, SamplingSettings(max_completion_length=48), 256)
    prompt_ids = [tokenizer.encode(prompt) for prompt in prompts]
    samples = engine.generate(prompt_ids, NUM_SAMPLES, list(range(len(prompts))))
    entropies, kinds, groups = [], [], []
    bar = tqdm(zip(prompt_ids, samples, strict=True), "forks", len(samples), leave=False)
    for number, (ids, group) in enumerate(bar):
        for sample in group:
            tokens = torch.tensor(sample.completion_ids)
            with torch.no_grad():
                logits = model(torch.tensor([ids + sample.completion_ids])).logits[0]
            entropies.append(logit_statistics(logits[len(ids) - 1 : -1], tokens)[1])
            kinds.append(token_kinds(tokenizer.convert_ids_to_tokens(sample.completion_ids)))
            groups.append(number)
    mask = pad_sequence([torch.ones_like(row, dtype=torch.bool) for row in entropies], True)
    return pad_sequence(entropies, True), mask, torch.tensor(groups), kinds


if __name__ == "__main__":
    main()
