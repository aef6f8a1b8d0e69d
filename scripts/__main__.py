"""Console command of the installed package: `label-free-rl train RECIPE.yaml`, `... --help`.

The scripts themselves stay what they are; in a checkout `python scripts/train.py` is the same.
"""

import runpy
import sys
from pathlib import Path

from rl.errors import exit_on_bad_input, unknown_name

COMMANDS = {
    "train": "train a policy with label-free rewards, as a recipe says",
    "solve": "answer questions by majority vote, if wanted after training on them",
    "evaluate": "evaluate a model on labelled problems: pass@k, maj@k, intervals",
    "compare_evaluations": "compare two evaluations problem by problem",
    "vote": "majority vote over saved completions",
    "report": "write one HTML page about runs and evaluations",
    "compare": "run a study: methods side by side, over seeds",
    "check_reward": "check a reward before a run does",
    "build_testbed": "build a tiny base model and its problems, without a network",
    "fetch_smollm2": "fetch a small pretrained model and problems for it",
    "serve_vllm": "start the vLLM server that a recipe samples from",
}
USAGE = """usage: label-free-rl COMMAND ...      (label-free-rl COMMAND --help says more)

{commands}

On several devices, and on one GPU: accelerate launch -m label_free_rl.train RECIPE.yaml
"""


@exit_on_bad_input()
def main() -> None:
    """Run the script that the first argument names."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        lines = (f"  {command:20} {meaning}" for command, meaning in COMMANDS.items())
        print(USAGE.format(commands="\n".join(lines)), end="")
        return
    name = name.replace("-", "_")
    if name not in COMMANDS:
        raise unknown_name("command", name, list(COMMANDS))
    script = Path(__file__).with_name(f"{name}.py")
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.parent))  # as for `python SCRIPT`: scripts import each other
    runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main()
