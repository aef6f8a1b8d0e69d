"""Start the vLLM server that a recipe with `vllm_mode: server` samples from."""

import argparse
import os

from rl.errors import exit_on_bad_input

EPILOG = """
examples:
  python scripts/serve_vllm.py recipes/ttrl/RECIPE.yaml --tensor_parallel_size 2
  python scripts/serve_vllm.py recipes/ttrl/RECIPE.yaml --data_parallel_size 8 --dry_run

Start it on the sampling machine, from a checkout with the same recipe, then train on the others:
  accelerate launch ... scripts/train.py RECIPE.yaml --use_vllm --vllm_mode server \\
      --vllm_server_base_url http://HOST:8000 --vllm_sync_dir /a/folder/both/machines/see
With GPUs on both, `--vllm_weight_sync nccl` hands the weights over without a folder.
The server executes what its clients ask of it: keep its port inside your own network.
"""


def main() -> None:
    """Turn the recipe into the server's command and become it."""
    arguments, overrides = parse_arguments()

    from rl.rollouts.vllm_engine import require_vllm
    from rl.rollouts.vllm_server import configured_command, server_environment
    from rl.training.recipe import make_config, read_settings

    settings = read_settings(arguments.recipe, overrides, arguments.allow_code)
    settings.setdefault("output_dir", "runs/server")
    config = make_config(settings)
    require_vllm()
    command = configured_command(
        config, arguments.tensor_parallel_size, arguments.data_parallel_size
    )
    print(" ".join(command), flush=True)
    if not arguments.dry_run:
        os.execve(command[0], command, server_environment(os.environ))


def parse_arguments() -> tuple[argparse.Namespace, list[str]]:
    """Split the command line into our arguments and the recipe's fields."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", help="YAML file of settings; see recipes/")
    parser.add_argument("--tensor_parallel_size", type=int, default=1, help="GPUs per copy")
    parser.add_argument("--data_parallel_size", type=int, default=1, help="copies of the model")
    parser.add_argument("--dry_run", action="store_true", help="print the command, start nothing")
    return parser.parse_known_args()


if __name__ == "__main__":
    with exit_on_bad_input():
        main()
