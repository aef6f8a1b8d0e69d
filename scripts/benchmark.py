"""Measure what our savings save: ratios within one run, on the same rollouts and machine."""

import argparse
import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from rl.errors import InputError, exit_on_bad_input
from rl.settings import Count, PositiveShare, check_options, check_value

if TYPE_CHECKING:
    from measurements.ratios import Measurement

PARTS = (
    *("update", "votes", "steps", "adaptive", "growth", "shared", "overlap", "prompts"),
    *("server", "pretrained", "engines", "whole", "memory", "pictures"),
)
EPILOG = """
examples:
  python scripts/build_testbed.py --output_dir runs/testbed
  python scripts/build_testbed.py --strategies --output_dir runs/strategies
  python scripts/build_testbed.py --pictures --output_dir runs/pictures
  python scripts/fetch_smollm2.py --output_dir runs/smollm2
  python scripts/benchmark.py --output_dir runs/benchmark --completions completions.jsonl.gz
  python scripts/benchmark.py --output_dir runs/benchmark --parts update,growth
  python scripts/benchmark.py --output_dir runs/benchmark --parts prompts --num_generations 16
  python scripts/benchmark.py --output_dir runs/benchmark --parts update \\
      --hidden_size 1024 --num_layers 16 --mean_length 600                (on a GPU; bf16 there)

parts:
  update    forward and backward passes and optimizer steps on one batch of rollouts: stock
            trl.GRPOTrainer against ours, with the share of unanimous groups of early and late
            training, and lengths as real 7B models write them
  votes     from text to vote, cold and warm, and against Math-Verify between all different answers
            of a group; needs --completions, a file of lines with "completions"
  steps     wall time of a training step on the testbed by phase and number of ranks
  adaptive  sampled tokens to a held-out pass@1 on the testbed, adaptive against 64 fixed votes
  growth    the update with group size, completion length, prompts doubled and redoubled
  shared    the update where prompts are of 64 to 2,048 tokens and completions of 32 to 512
  overlap   a step with an engine that takes 0.25 to 4 times as long as an update, with the next
            batch sampled meanwhile (max_staleness 1) and without, against the longer of both
  server    the same with a real vLLM server that the run starts, on the testbed of strategies
  prompts   sampling with transformers and SmolLM2, each prompt run once against once per sample
  pretrained  whole steps of TTRL with SmolLM2, each prompt run once against once a completion
  engines   tokens per second of every engine, against vllm.LLM.generate called without us
  whole     a whole step with vLLM in the process, against stock trl.GRPOTrainer's for as many
            tokens, and against vllm.LLM.generate of its prompts plus the update
  memory    what an update takes beyond model and batch, against stock trl.GRPOTrainer's
  pictures  time and memory of the update on the testbed of pictures, each picture run once for the
            completions of its prompt against once a completion

OUTPUT_DIR/table.md holds the table, OUTPUT_DIR/results.json every value. Parts are written as they
are finished.
"""


@exit_on_bad_input()
def main() -> None:
    """Measure part after part; write and print one table."""
    arguments = parse_arguments()
    measurements: list[Measurement] = []
    for part in arguments.parts:
        measurements += measure(part, arguments)
        write_results(arguments, measurements)
    print((arguments.output_dir / "table.md").read_text())


def parse_arguments() -> argparse.Namespace:
    """Read and check the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--output_dir", type=Path, required=True, help="where the results go")
    add("--parts", default=",".join(PARTS), help="which, separated by commas (%(default)s)")
    add("--completions", type=Path, help='JSON lines with "completions", for votes')
    add("--testbed", type=Path, default=Path("runs/testbed"), help="for steps and adaptive")
    add(
        "--strategies",
        type=Path,
        default=Path("runs/strategies"),
        help="for server, engines, whole",
    )
    add("--pictures", type=Path, default=Path("runs/pictures"), help="for pictures (%(default)s)")
    add("--smollm2", type=Path, default=Path("runs/smollm2"), help="for prompts and pretrained")
    add("--repetitions", type=int, default=5, help="of all but steps, adaptive (%(default)s)")
    add("--ranks", default="1,2", help="numbers of processes, for steps (%(default)s)")
    add("--target", type=float, default=0.8, help="pass@1 to reach, for adaptive (%(default)s)")
    add("--seeds", type=int, default=3, help="of adaptive (%(default)s)")
    add("--num_prompts", type=int, default=8, help="groups in a batch (%(default)s)")
    add("--num_generations", type=int, default=8, help="completions of a group (%(default)s)")
    add("--micro_batch", type=int, default=8, help="rows of a forward pass (%(default)s)")
    add("--mean_length", type=int, default=30, help="tokens of a completion (%(default)s)")
    add("--hidden_size", type=int, default=128, help="of the model (%(default)s)")
    add("--num_layers", type=int, default=2, help="of the model (%(default)s)")
    arguments = parser.parse_args()
    arguments.parts = arguments.parts.split(",")
    check_arguments(arguments)
    return arguments


def check_arguments(arguments: argparse.Namespace) -> None:
    """Check everything before the first measurement.

    Raises:
        InputError: For what the user has to mend.
    """
    from measurements.prompts import require_smollm2
    from measurements.runs import require_testbed

    from rl.errors import unknown_name

    for part in arguments.parts:
        if part not in PARTS:
            raise unknown_name("--parts", part, list(PARTS))
    if "votes" in arguments.parts and not (
        arguments.completions and arguments.completions.is_file()
    ):
        raise InputError(
            f"--completions: got {arguments.completions}, expected an existing file for the part "
            "votes. Name one, or leave votes out of --parts."
        )
    arguments.groups = read_groups(arguments.completions) if "votes" in arguments.parts else []
    if {"steps", "adaptive"} & set(arguments.parts):
        require_testbed(arguments.testbed)
    if {"server", "engines", "whole"} & set(arguments.parts):
        require_testbed(arguments.strategies, "--strategies")
    if "pictures" in arguments.parts:
        require_testbed(arguments.pictures, "--pictures")
    if {"prompts", "pretrained"} & set(arguments.parts):
        require_smollm2(arguments.smollm2)
    if not all(part.isdecimal() and int(part) for part in arguments.ranks.split(",")):
        raise InputError(
            f"--ranks: got {arguments.ranks!r}, expected numbers such as 1,2. Correct it."
        )
    sizes = ("repetitions", "seeds", "num_prompts", "micro_batch", "mean_length", "num_layers")
    ranges = {
        **dict.fromkeys(sizes, Count),
        "num_generations": Annotated[int, Field(ge=2, le=100_000)],
        "hidden_size": Annotated[int, Field(ge=64, multiple_of=64)],
        "target": PositiveShare,
    }
    check_options(arguments, ranges)
    arguments.output_dir.mkdir(parents=True, exist_ok=True)  # a measurement takes minutes


def measure(part: str, arguments: argparse.Namespace) -> "list[Measurement]":
    """Measure one part."""
    runs = arguments.output_dir / "runs" / datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    if part == "votes":
        from measurements.votes import measure_votes

        return measure_votes(arguments.groups, arguments.repetitions)
    if part == "steps":
        from measurements.runs import measure_steps

        ranks = [int(number) for number in arguments.ranks.split(",")]
        return measure_steps(arguments.testbed, runs, ranks)
    if part == "adaptive":
        from measurements.runs import measure_adaptive_votes

        return measure_adaptive_votes(arguments.testbed, runs, arguments.target, arguments.seeds)
    if part == "prompts":
        from measurements.prompts import measure_prompts

        return measure_prompts(
            arguments.smollm2,
            arguments.num_prompts,
            arguments.num_generations,
            arguments.repetitions,
        )
    if part == "pretrained":
        from measurements.prompts import measure_pretrained_steps

        return measure_pretrained_steps(arguments.smollm2, runs, arguments.repetitions)
    if part == "server":
        from measurements.overlap import measure_server_overlap

        return measure_server_overlap(arguments.strategies, runs, 3 * arguments.repetitions)
    if part == "engines":
        from measurements.engines import measure_engines

        return measure_engines(arguments.strategies, runs, arguments.repetitions)
    if part == "whole":
        from measurements.whole_steps import measure_whole_steps

        return measure_whole_steps(arguments.strategies, arguments.repetitions)
    if part == "pictures":
        from measurements.pictures import measure_picture_memory, measure_picture_update

        update = measure_picture_update(arguments.pictures, arguments.repetitions)
        return [update, measure_picture_memory(arguments.pictures)]
    return measure_update(part, arguments)


def measure_update(part: str, arguments: argparse.Namespace) -> "list[Measurement]":
    """Measure one of the parts about the update alone."""
    from measurements import updates

    sizes = updates.UpdateSizes(
        num_prompts=arguments.num_prompts,
        num_generations=arguments.num_generations,
        micro_batch=arguments.micro_batch,
        mean_length=arguments.mean_length,
        hidden_size=arguments.hidden_size,
        num_layers=arguments.num_layers,
    )
    if part == "overlap":
        from measurements.overlap import measure_overlap

        return measure_overlap(sizes, arguments.repetitions)
    if part == "memory":
        from measurements.memory import measure_memory

        return measure_memory(sizes)
    work = {
        "update": updates.measure_updates,
        "growth": updates.measure_growth,
        "shared": updates.measure_shared_prompts,
    }
    return work[part](sizes, arguments.repetitions)


def read_groups(path: Path) -> list[list[str]]:
    """Read the completions of each line."""
    from rl.data.json_lines import read_json_lines

    groups = []
    with path.open("rb") as file:
        for number, row, _ in read_json_lines(file, path):
            completions = row.get("completions") if isinstance(row, dict) else None
            groups.append(check_value(f"{path} line {number}, completions", list[str], completions))
    if not groups:
        raise InputError(
            f"--completions: got {path} without a line, expected some. Check the file."
        )
    return groups


def write_results(arguments: argparse.Namespace, measurements: "list[Measurement]") -> None:
    """Write the table, and the numbers with what they were measured on."""
    import torch
    from measurements.ratios import markdown_table

    from rl.versions import git_commit, library_versions

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    document: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "device": gpu or f"{platform.machine()}, {os.cpu_count()} cores",
        "load average at the end": os.getloadavg()[0],
        "versions": library_versions(("torch", "transformers", "trl")),
        "git_commit": git_commit(),
        "settings": {n: str(value) for n, value in vars(arguments).items() if n != "groups"},
        "results": [measurement.as_json() for measurement in measurements],
    }
    arguments.output_dir.mkdir(parents=True, exist_ok=True)
    path = arguments.output_dir / "results.json"
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    table = markdown_table(measurements)
    (arguments.output_dir / "table.md").write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
