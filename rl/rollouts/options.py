"""The command-line options of scripts that sample a model that does not change, with any engine."""

import argparse
from typing import Any

from rl.errors import InputError
from rl.rollouts.engines import engine_class
from rl.rollouts.openai_engine import DEFAULT_TIMEOUT, api_key
from rl.settings import Count, Positive

ENDPOINT_RANGES = {"concurrency": Count, "timeout": Positive}


def add_endpoint_arguments(group: Any) -> None:
    """Add the arguments that say how the endpoint of `--engine openai` is reached."""
    add = group.add_argument
    add("--base_url", metavar="URL", help="the endpoint of --engine openai, up to and with /v1")
    add("--api_key_env", metavar="NAME", help="environment variable with the endpoint's key")
    add("--concurrency", type=int, default=32, help="requests at a time (%(default)s)")
    add(
        "--timeout",
        type=float,
        default=DEFAULT_TIMEOUT,
        metavar="SECONDS",
        help="longest wait for one reply of the endpoint, before it is asked again (%(default)g)",
    )


def check_endpoint(args: argparse.Namespace) -> None:
    """Check that the engine is installed, and has an address if it asks an endpoint.

    Raises:
        InputError: If not.
    """
    if args.engine == "vllm_server":
        raise InputError(
            "--engine: got 'vllm_server', expected openai with --base_url and --api_key_env for a "
            "vLLM server that runs, or vllm for one in this process; only a training run changes "
            "a server's weights. Name one of the two."
        )
    engine_class(args.engine, "for_model", "--engine")
    if (args.engine == "openai") != (args.base_url is not None):
        raise InputError(
            f"--base_url: got {args.base_url or 'none'} with --engine {args.engine}, expected an "
            "address with --engine openai and only there. Correct one of the two."
        )
    if args.base_url is not None and not args.base_url.startswith(("http://", "https://")):
        raise InputError(
            f"--base_url: got {args.base_url!r}, expected an address such as "
            "http://127.0.0.1:8000/v1. Begin it with http:// or https://."
        )
    if args.engine == "openai":
        api_key(args.api_key_env)
