"""Build the testbed: a tiny base model that can nearly calculate, and problems for it."""

import argparse
from collections.abc import Iterable
from pathlib import Path

from rl.errors import exit_on_bad_input
from rl.testbed.build import TIERS, build_testbed

DESCRIPTION = """\
Build the testbed: a tiny base model (Qwen3, under 1M parameters) and its problems, in about a
minute on a CPU and without a network. The model has learned chain arithmetic from a teacher who
makes mistakes, so that sampled answers are often wrong although their majority is right:

    prompt      4+1+6=
    completion  4+1=5;5+6=11\\boxed{11}

With --strategies, another one: a base model that mostly guesses and can work in two ways, so that
training passes its greedy answer and its majority (rl/testbed/strategies.py). It is the demo's.

With --selfplay, a third one, in about two minutes: tiny notes, and a tiny base model that plays
questioner, responder and verifier over them. It guesses at most questions (rl/testbed/selfplay.py).

With --pictures, a fourth one, in some four minutes: questions about tiny pictures, and a model
that sees (a tiny Idefics3) but mostly guesses without looking (rl/testbed/pictures.py).

The problems come in three tiers:
    easy    the majority of the base model's answers is right
    mixed   one prompt in eight is a hard one
    hard    the majority is confidently wrong: the teacher misunderstands borrowing
"""

EPILOG = """\
files:
    DIR/model/                 for AutoModelForCausalLM, AutoTokenizer and vLLM
    DIR/<tier>/train.jsonl     {"prompt"}, no labels
    DIR/<tier>/labelled.jsonl  the same with labels, for audits and supervised controls
    DIR/<tier>/heldout.jsonl   {"prompt", "label"}
    DIR/testbed.json           settings and library versions; written last
    with --strategies          model/, train.jsonl, labelled.jsonl, heldout.jsonl and, by kind,
                               heldout/<set>.jsonl; wordings.jsonl, each problem in other words;
                               train/<wording or kind>.jsonl, for streams of data sets
    with --selfplay            base/, documents.jsonl, heldout.jsonl, by kind heldout/<set>.jsonl,
                               and questions/ with labels, for controls
    with --pictures            model/, train.jsonl, labelled.jsonl, heldout.jsonl and, by kind,
                               heldout/<set>.jsonl; PNG files, named in a column "images"

The same seed gives the same files on the same machine. A DIR that holds the finished testbed is
left as it is; a DIR that holds anything else is refused.

examples:
    python scripts/build_testbed.py --output_dir runs/testbed
    python scripts/build_testbed.py --strategies --output_dir runs/strategies
    python scripts/build_testbed.py --selfplay --output_dir runs/selfplay_testbed
    python scripts/build_testbed.py --pictures --output_dir runs/pictures
"""


@exit_on_bad_input()
def main() -> None:
    """Read the command line, build, and say where the files are."""
    parser = argparse.ArgumentParser(
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--output_dir", type=Path, required=True, metavar="DIR", help="new or empty folder"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="decides the problems and the model (default: 0)"
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--strategies", action="store_true", help="build that testbed instead")
    kind.add_argument("--selfplay", action="store_true", help="build self-play's testbed instead")
    kind.add_argument("--pictures", action="store_true", help="build the one of pictures instead")
    arguments = parser.parse_args()
    folder, seed = arguments.output_dir, arguments.seed

    if arguments.strategies:
        from rl.testbed.strategies_build import HELDOUT, build_strategies

        say_where(folder, HELDOUT, was_there=build_strategies(folder, seed=seed))
        print(f"wordings   {folder / 'wordings.jsonl'}")
        print(f"in parts   {folder / 'train'}/: by wording, and by kind")
        return

    if arguments.pictures:
        from rl.testbed.pictures_build import HELDOUT, build_pictures

        say_where(folder, HELDOUT, was_there=build_pictures(folder, seed=seed))
        return

    if arguments.selfplay:
        from rl.testbed.selfplay import build_selfplay

        if build_selfplay(folder, seed=seed):
            print(f"{folder} already holds this testbed: nothing to do")
        print(f"model      {folder / 'base'}")
        print(f"documents  {folder / 'documents.jsonl'}")
        print(f"held out   {folder / 'heldout.jsonl'}")
        return
    testbed = build_testbed(folder, seed=seed)

    if testbed.reused:
        print(f"{testbed.output_dir} already holds this testbed: nothing to do")
    print(f"model     {testbed.model_dir}")
    for tier in TIERS:
        print(f"{tier:9} {testbed.train_file(tier)}  {testbed.heldout_file(tier)}")


def say_where(folder: Path, sets: Iterable[str], *, was_there: bool) -> None:
    """Print where the files of a testbed of one tier are."""
    if was_there:
        print(f"{folder} already holds this testbed: nothing to do")
    print(f"model      {folder / 'model'}")
    print(f"train      {folder / 'train.jsonl'}")
    print(f"held out   {folder / 'heldout.jsonl'}")
    print(f"by kind    {folder / 'heldout'}/: {', '.join(sets)}")


if __name__ == "__main__":
    main()
