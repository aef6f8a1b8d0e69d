"""The command-line options of scripts that look for answers and compare them."""

import argparse
from collections.abc import Sequence
from typing import Any

from rl.answers import use_comparer
from rl.answers.comparers import ComparerSetting
from rl.answers.extraction import DEFAULT_METHODS, METHODS, check_methods
from rl.plugins import allow_code


def add_answer_arguments(group: Any, default: str = " ".join(DEFAULT_METHODS)) -> None:
    """Add `--answer_methods` and `--answer_comparer`.

    Args:
        group: A parser, or a group of one.
        default: What is said to hold where the methods are left out.
    """
    group.add_argument(
        "--answer_methods",
        nargs="+",
        metavar="NAME",
        help=f"where to look for an answer, in this order: {', '.join(METHODS)}, or an extractor "
        f"of your own as file.py:function ({default})",
    )
    group.add_argument(
        "--answer_comparer",
        metavar="NAME",
        help="what tells equal answers: meaning, which goes by what words mean, with settings as "
        "{meaning: {threshold: 0.8}}, or your own as file.py:function; '' is ours (ours)",
    )


def use_answer_arguments(
    arguments: argparse.Namespace,
    methods: Sequence[str] | None = None,
    comparer: ComparerSetting | None = None,
) -> tuple[str, ...]:
    """Check both options, let the comparer decide in this process, and return the methods.

    Args:
        arguments: The command line.
        methods: Where an answer is looked for if the command line does not say; None: by default.
        comparer: What compares answers if the command line does not say; None: ours.

    Raises:
        InputError: If a name is unknown, cannot be loaded, or names code and comes from a file.
    """
    allow_code([arguments.answer_methods or (), arguments.answer_comparer or ()])
    chosen = tuple(arguments.answer_methods or methods or DEFAULT_METHODS)
    check_methods(chosen)
    given = arguments.answer_comparer
    use_comparer((comparer if given is None else given) or None)
    return chosen
