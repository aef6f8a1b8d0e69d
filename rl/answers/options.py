"""The command-line options of scripts that look for answers and compare them."""

import argparse
from collections.abc import Mapping
from typing import Any

from rl.answers import use_comparer
from rl.answers.comparers import ComparerSetting
from rl.answers.extraction import DEFAULT_METHODS, METHODS, check_methods
from rl.plugins import allow_code
from rl.settings import check_value

_NONE: Mapping[str, Any] = {}


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
    arguments: argparse.Namespace, saved: Mapping[str, Any] = _NONE
) -> tuple[str, ...]:
    """Check both options, let the comparer decide in this process, and return the methods.

    Args:
        arguments: The command line.
        saved: What holds where the command line does not say: the settings of a recipe, of a run or
            of an evaluation, of which `answer_methods` and `answer_comparer` are read.

    Raises:
        InputError: If a name is unknown, cannot be loaded, or names code and comes from a file; or
            a saved setting is of another type.
    """
    allow_code([arguments.answer_methods or (), arguments.answer_comparer or ()])
    methods, comparer = (saved.get(name) for name in ("answer_methods", "answer_comparer"))
    methods = check_value("answer_methods", list[str] | None, methods)
    comparer = check_value("answer_comparer", ComparerSetting | None, comparer)
    chosen = tuple(arguments.answer_methods or methods or DEFAULT_METHODS)
    check_methods(chosen)
    given = arguments.answer_comparer
    use_comparer((comparer if given is None else given) or None)
    return chosen
