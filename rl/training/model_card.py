"""The model card of a run: base model, recipe, data, controls, verdict, cost, curves, how to load.

It is README.md in the run's folder, and in best/, made from the run's own files. A card for which
something is missing yet, as in a checkpoint, says what is known.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from rl.data.json_lines import read_json_lines
from rl.training.config import LabelFreeConfig

CARD_FILE = "README.md"
_METRICS = ("pass@1", "majority_ratio", "no_answer_frac", "mean_length")
# Key of metrics.jsonl -> what it is called for a reader.
_CURVES = {
    "reward": "reward",
    "vote/majority_ratio": "majority ratio, training",
    "audit/label_accuracy": "voted answer is the label",
    "entropy": "entropy of a token",
    "completions/mean_length": "tokens of a completion",
}
_EVALUATED = ("/pass@1", "/majority_ratio")
_NUM_POINTS = 24
_BARS = "▁▂▃▄▅▆▇█"
# What follows from other settings, from the machine, or is nobody's business.
_UNTOLD = {
    *("output_dir", "run_name", "logging_dir", "project", "report_to", "disable_tqdm"),
    *("push_to_hub", "hub_model_id", "hub_token", "hub_strategy", "hub_private_repo"),
    *("use_cpu", "dataloader_pin_memory", "bf16", "resume_from_checkpoint"),
    *("accelerator_config", "debug"),
    *("gradient_accumulation_steps", "steps_per_generation", "generation_batch_size"),
}


class WritesModelCard:
    """What a trainer writes in place of its host's draft, wherever the host writes one."""

    args: Any
    hub_model_id: str | None
    is_world_process_zero: Callable[[], bool]

    def create_model_card(self, model_name: str | None = None, **kwargs: Any) -> None:
        """Write the run's card; before an upload, keep what was sampled out of it."""
        if not self.is_world_process_zero():
            return
        folder = Path(self.args.output_dir)
        write_model_card(folder, getattr(self, "hub_model_id", None))
        if self.args.push_to_hub:
            # The hub leaves out what this names: prompts and completions are the user's own, and
            # policies that are no longer the best are nobody's.
            (folder / ".gitignore").write_text("rollouts/\nimages/\nlogs/\nearlier_best/\n")


def write_model_card(folder: Path, hub_id: str | None = None) -> None:
    """Write README.md in a run's folder and, where it keeps a best policy, in best/.

    Args:
        folder: Of the run; without its config.yaml nothing is written.
        hub_id: Where the model is uploaded to; None where it is not.
    """
    if not (folder / "config.yaml").exists():
        return
    place = hub_id or str(folder)
    (folder / CARD_FILE).write_text(model_card(folder, place), encoding="utf-8")
    if (folder / "best").is_dir() and (folder / "best.json").exists():
        best = json.loads((folder / "best.json").read_text())
        card = model_card(folder, hub_id or str(folder / "best"), best)
        (folder / "best" / CARD_FILE).write_text(card, encoding="utf-8")


def model_card(folder: Path, place: str, best: Mapping[str, Any] | None = None) -> str:
    """Return the card of a run.

    Args:
        folder: Of the run, with config.yaml, and what there is of summary.json and metrics.jsonl.
        place: Hub id or folder that the model is loaded from.
        best: What best.json says, for the policy that is kept there.
    """
    name = place.rpartition("/")[2] if best is None else folder.absolute().name
    document = yaml.safe_load((folder / "config.yaml").read_text())
    settings = document["settings"]
    summary = _read(folder / "summary.json")
    methods = _methods(settings)
    data = ", ".join(_datasets(settings)) or f"questions of its own (self-play, {methods[0]})"
    seen = "with labels (a supervised control)" if settings["supervised"] else "without labels"
    sections = [
        f"---\n{yaml.safe_dump(_metadata(settings, methods, name), sort_keys=False)}---",
        f"# {name}",
        f"`{settings['model']}`, trained {seen} on {data} with {', '.join(methods)} "
        "(reinforcement learning by group-relative advantages, "
        "[TRL](https://github.com/huggingface/trl)'s GRPO, by label-free-rl).",
    ]
    if best is not None:
        chosen = "no label was needed to choose it" if best["label_free"] else "labels chose it"
        sections.append(
            f"This is the policy after step {best['step']}, the one with the highest "
            f"{best['metric']}, {best['value']:.3f}: {chosen}. What follows is of the whole run; "
            '"after" is its last step.'
        )
    return (
        "\n\n".join(
            [
                *sections,
                "## Verdict\n\n" + _verdict(summary),
                "## Recipe\n\n```yaml\n" + _recipe(settings) + "```\n\n" + _batch(document),
                "## Curves\n\n" + _curves(folder / "metrics.jsonl"),
                "## Cost\n\n" + _cost(summary),
                "## Use\n\n" + _use(settings, place),
                "## Limits\n\n" + _LIMITS,
            ]
        )
        + "\n"
    )


_LIMITS = (
    "A reward made of the model's own answers makes it more certain of what it already believes: "
    "where its majority was wrong, training makes it worse. A gain counts beyond what the base "
    "model reaches by its greedy answer, a low temperature or a vote, on problems that were not "
    "trained on."
)


def _datasets(settings: Mapping[str, Any]) -> list[str]:
    names = settings["dataset"] or []
    return [names] if isinstance(names, str) else names


def _metadata(settings: Mapping[str, Any], methods: list[str], name: str) -> dict[str, Any]:
    found: dict[str, Any] = {"library_name": "peft" if settings["lora"] else "transformers"}
    if _is_hub_id(settings["model"]):
        found["base_model"] = settings["model"]
    if on_hub := [name for name in _datasets(settings) if _is_hub_id(name)]:
        found["datasets"] = on_hub
    tags = ["label-free-rl", "trl", "grpo", *methods]
    return {**found, "model_name": name, "pipeline_tag": "text-generation", "tags": tags}


def _is_hub_id(place: str) -> bool:
    is_file = place.endswith((".jsonl", ".json", ".csv", ".parquet", ".gz"))
    return place.count("/") == 1 and not is_file and not Path(place).exists()


def _methods(settings: Mapping[str, Any]) -> list[str]:
    """Return what makes the run's signal: its rewards and loss terms, or its game."""
    if settings["selfplay"]:
        return [settings["selfplay"]["game"]]
    further = (settings["token_selector"] or {}, settings["loss_terms"])
    return [*settings["rewards"], *(name for names in further for name in names)]


def _verdict(summary: Mapping[str, Any]) -> str:
    lines = []
    for benchmark, found in _by_benchmark(summary.get("controls", {}), "verdict").items():
        heading = f"**{benchmark}**: " if benchmark else ""
        lines.append(f"{heading}{found['verdict']}")
        rows = [
            (f"after less the base's {control}", _interval(difference))
            for control, difference in found["differences"].items()
        ]
        lines.append(_table(("pass@1", "difference (95% interval)"), rows))
    if not lines:
        lines = [
            "Not measured: nothing labelled was evaluated before and after (`eval_benchmarks`)."
        ]
    after = _by_benchmark(summary.get("after", {}), "majority_ratio")
    for benchmark, metrics in after.items():
        before = _by_benchmark(summary.get("before", {}), "majority_ratio").get(benchmark, {})
        rows = [
            (name, _number(before.get(name)), _number(metrics[name]))
            for name in _METRICS
            if name in metrics
        ]
        lines.append(_table((benchmark or "metric", "before", "after"), rows))
    return "\n\n".join(lines)


def _by_benchmark(found: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return what summary.json holds by benchmark; of a single one it holds it without a name."""
    return {"": found} if key in found else found


def _interval(difference: Mapping[str, float]) -> str:
    low, high = difference["ci_low"], difference["ci_high"]
    return f"{difference['difference']:+.3f} ({low:+.3f} to {high:+.3f})"


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.3f}"


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    header = list(header)
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _recipe(settings: Mapping[str, Any]) -> str:
    """Return the settings that differ from their defaults, as a recipe holds them."""
    changed = {}
    for field in fields(LabelFreeConfig):
        default = field.default if field.default_factory is MISSING else field.default_factory()
        value = settings.get(field.name)
        if field.init and field.name not in _UNTOLD and value not in (default, None):
            changed[field.name] = value
    if changed.get("num_votes") == settings["num_generations"]:
        del changed["num_votes"]
    return yaml.safe_dump(changed, sort_keys=False)


def _batch(document: Mapping[str, Any]) -> str:
    sizes = [f"{name} {value}" for name, value in document["geometry"].items()]
    versions = [f"{name} {value}" for name, value in document["versions"].items() if value]
    return f"{'; '.join(sizes)}.\n\nSoftware: {', '.join(versions)}."


def _curves(path: Path) -> str:
    """Draw each curve in characters, so that it is seen wherever text is."""
    if not path.exists():
        return "No step was logged."
    with path.open("rb") as file:
        lines = [line.value for line in read_json_lines(file, path)]
    evaluated = sorted({key for line in lines for key in line if key.endswith(_EVALUATED)})
    curves = {key: key.removeprefix("eval/") for key in evaluated if key.startswith("eval/")}
    rows = []
    for key, name in {**curves, **_CURVES}.items():
        values = [line[key] for line in lines if line.get(key) is not None]
        if len(values) > 1:
            ends = _number(values[0]), _number(values[-1])
            rows.append((name, ends[0], sparkline(values), ends[1]))
    return _table(("", "first", "over the run", "last"), rows) if rows else "No curve was logged."


def sparkline(values: list[float]) -> str:
    """Draw numbers as bars of eight heights, from the least to the greatest of them.

    Args:
        values: At least one; of more than 24 runs of neighbours are averaged.

    Example:
        >>> sparkline([0.0, 1.0, 0.5]), sparkline([3.0, 3.0])
        ('▁█▅', '▁▁')
    """
    num_points = min(_NUM_POINTS, len(values))
    edges = [round(i * len(values) / num_points) for i in range(num_points + 1)]
    points = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    low, high = min(points), max(points)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((point - low) * scale + 1e-9)] for point in points)


def _cost(summary: Mapping[str, Any]) -> str:
    cost = summary.get("cost")
    if not cost:
        return "The run has not ended."
    rows = [(name.replace("_", " "), f"{value:,.0f}") for name, value in cost.items() if value]
    return _table(("", ""), rows)


def _use(settings: Mapping[str, Any], place: str) -> str:
    loader, imports = "AutoModelForCausalLM", "from transformers import AutoModelForCausalLM, "
    if settings["lora"]:
        loader = "AutoPeftModelForCausalLM"
        imports = f"from peft import {loader}\nfrom transformers import "
    around = [
        text
        for text, given in (
            (f"after the system prompt {settings['system_prompt']!r}", settings["system_prompt"]),
            (f"with {settings['prompt_suffix']!r} after each prompt", settings["prompt_suffix"]),
        )
        if given
    ]
    sampling = (
        f"It was sampled at temperature {settings['temperature']}, top_p {settings['top_p']}, up "
        f"to {settings['max_completion_length']} tokens"
    )
    return (
        "```python\n"
        f"{imports}AutoTokenizer\n\n"
        f'model = {loader}.from_pretrained("{place}")\n'
        f'tokenizer = AutoTokenizer.from_pretrained("{place}")\n'
        f"```\n\n{', '.join([sampling, *around])}."
    )


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}
