"""Start the vLLM server that a recipe with `vllm_mode: server` samples from."""

import argparse
import os
import shlex

from rl.errors import exit_on_bad_input
from rl.plugins import add_code_argument
from rl.settings import Count, check_options

EPILOG = """
examples:
  python scripts/serve_vllm.py recipes/ttrl/RECIPE.yaml --tensor_parallel_size 2
  python scripts/serve_vllm.py recipes/ttrl/RECIPE.yaml --data_parallel_size 8 --dry_run

Start it on the sampling machine, from a checkout with the same recipe, then train on the others:
  accelerate launch ... scripts/train.py RECIPE.yaml --use_vllm --vllm_mode server \\
      --vllm_server_base_url http://HOST:8000 --vllm_sync_dir /a/folder/both/machines/see
There it has its GPUs to itself, so where the recipe does not say otherwise it takes 0.9 of their
memory; --vllm_gpu_memory_utilization 0.9 goes before what a recipe says of GPUs that are shared.
With GPUs on both, `--vllm_weight_sync nccl` hands the weights over without a folder. Images come
within the requests: the server needs none of the data set's files, and follows no link.

It listens on this machine alone; `--host 0.0.0.0`, or better the address of an internal network,
lets others in. Every request needs the key in VLLM_API_KEY: set it on all machines, or take the one
that is printed. Who has it can change the weights and call any method of vLLM's workers, unless
--sampling_only leaves those endpoints out. Keys and prompts travel unencrypted.
"""


def main() -> None:
    """Turn the recipe into the server's command and become it."""
    arguments, overrides = parse_arguments()

    from rl.rollouts.vllm_engine import require_vllm
    from rl.rollouts.vllm_server import configured_command, new_key, server_environment
    from rl.rollouts.vllm_server_key import KEY_VARIABLE
    from rl.training.prepare import load_run_model_config
    from rl.training.recipe import make_config, read_settings

    settings = read_settings(arguments.recipe, overrides, arguments.allow_code)
    settings.setdefault("output_dir", "runs/server")
    settings.setdefault("vllm_gpu_memory_utilization", 0.9)  # GPUs of its own
    config = make_config(settings)
    require_vllm()
    load_run_model_config(config)
    command = configured_command(
        config, arguments.tensor_parallel_size, arguments.data_parallel_size, arguments.host
    )
    print(shlex.join(command), flush=True)
    if arguments.dry_run:
        return
    key = os.environ.get(KEY_VARIABLE) or new_key()
    if KEY_VARIABLE not in os.environ:
        print(f"for those who ask it:  export {KEY_VARIABLE}={key}", flush=True)
    environment = server_environment(os.environ, key, not arguments.sampling_only)
    os.execve(command[0], command, environment)


def parse_arguments() -> tuple[argparse.Namespace, list[str]]:
    """Split the command line into our arguments and the recipe's fields."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("recipe", help="YAML file of settings; see recipes/")
    parser.add_argument("--tensor_parallel_size", type=int, default=1, help="GPUs per copy")
    parser.add_argument("--data_parallel_size", type=int, default=1, help="copies of the model")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument(
        "--sampling_only",
        action="store_true",
        help="without the endpoints that change weights, for others that ask with --engine openai",
    )
    parser.add_argument("--dry_run", action="store_true", help="print the command, start nothing")
    add_code_argument(parser)
    arguments, overrides = parser.parse_known_args()
    check_options(arguments, dict.fromkeys(("tensor_parallel_size", "data_parallel_size"), Count))
    return arguments, overrides


if __name__ == "__main__":
    with exit_on_bad_input():
        main()
