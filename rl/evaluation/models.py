"""Open what samples an evaluation: a tokenizer and an engine, or an endpoint."""

import argparse
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl.data.image_inputs import prompt_length
from rl.data.model_files import (
    context_length,
    load_image_inputs,
    load_model_config,
    load_tokenizer,
    takes_images,
)
from rl.errors import InputError
from rl.evaluation.problems.labelled import Benchmark, Problem
from rl.evaluation.problems.problem_images import check_images_are_read
from rl.rollouts.engine import RolloutEngine, SamplingSettings
from rl.rollouts.engines import StoredModel, check_takes_images, engine_class
from rl.rollouts.openai_engine import TextEngine

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from rl.data.image_inputs import ImageInputs

DEFAULT_MAX_COMPLETION_LENGTH = 4096


@dataclass(frozen=True, kw_only=True)
class EnginePlan:
    """What samples all benchmarks of a call; nothing is loaded before it is opened.

    Attributes:
        args: The command line.
        tokenizer: The model's; None for an endpoint.
        settings: How completions are sampled.
        longest_prompt: Tokens of the longest prompt, once it is cut; 0 for an endpoint.
        image_inputs: Reads prompts with images; None for an endpoint, and where there are none.
        num_cut_prompts: Prompts of each benchmark that are cut in the middle; none for an endpoint.
        facts: What identifies model and tokenizer beyond the name, for the manifest.
    """

    args: argparse.Namespace
    tokenizer: "PreTrainedTokenizerBase | None"
    settings: SamplingSettings
    longest_prompt: int
    image_inputs: "ImageInputs | None" = None
    num_cut_prompts: dict[str, int] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def open(self) -> RolloutEngine | TextEngine:
        """Load the model, or connect to the endpoint."""
        args = self.args
        endpoint = ("base_url", "api_key_env", "concurrency", "chat_template_args", "timeout")
        model = StoredModel(
            model=args.model,
            tokenizer=self.tokenizer,
            settings=self.settings,
            longest_prompt=self.longest_prompt,
            batch_size=args.batch_size,
            revision=args.model_revision,
            endpoint={name: getattr(args, name) for name in endpoint},
            image_inputs=self.image_inputs,
        )
        return engine_class(args.engine, "for_model", "--engine").for_model(model)


def plan_engine(args: argparse.Namespace, benchmarks: Sequence[Benchmark]) -> EnginePlan:
    """Find out how long completions may be, for all benchmarks; loads a tokenizer, no model.

    Raises:
        InputError: If a prompt does not fit, or has images that the model or the engine cannot
            read.
    """
    tokenizer, image_inputs, longest_prompt, num_cut, facts = None, None, 0, {}, {}
    length = args.max_completion_length or DEFAULT_MAX_COMPLETION_LENGTH
    if args.engine != "openai":
        problems = [problem for benchmark in benchmarks for problem in benchmark.problems]
        tokenizer, max_length, commit = open_tokenizer(
            args.model,
            chat_template=args.chat_template,
            chat_template_args=args.chat_template_args,
            revision=args.model_revision,
        )
        image_inputs = open_image_inputs(
            args.model, tokenizer, problems, args.engine, args.model_revision
        )
        lengths = {
            benchmark.name: [
                prompt_length(p.prompt, p.images, tokenizer, image_inputs)
                for p in benchmark.problems
            ]
            for benchmark in benchmarks
        }
        longest_prompt = max(length for of_one in lengths.values() for length in of_one)
        if args.max_prompt_length is not None:
            most = args.max_prompt_length
            check_cut_prompts(benchmarks, lengths, most)
            longest_prompt = min(longest_prompt, most)
            num_cut = {name: sum(one > most for one in them) for name, them in lengths.items()}
        length = completion_length(args.max_completion_length, longest_prompt, max_length)
        facts = {"model_revision": commit, "tokenizer_hash": tokenizer_hash(tokenizer)}
    settings = SamplingSettings(
        max_completion_length=length,
        temperature=args.temperature,
        top_p=args.top_p,
        top_k=args.top_k,
        min_p=args.min_p,
        stop_strings=tuple(args.stop_strings),
    )
    return EnginePlan(
        args=args,
        tokenizer=tokenizer,
        settings=settings,
        longest_prompt=longest_prompt,
        image_inputs=image_inputs,
        num_cut_prompts=num_cut,
        facts=facts,
    )


def open_tokenizer(
    model: str,
    *,
    chat_template: Path | None = None,
    chat_template_args: dict[str, Any] | None = None,
    revision: str | None = None,
) -> tuple["PreTrainedTokenizerBase", int | None, str | None]:
    """Load a model's tokenizer and what its configuration tells.

    Args:
        model: Folder or hub id.
        chat_template: File with a template to use instead of the model's own.
        chat_template_args: Values the template sees, such as {"enable_thinking": false}.
        revision: Branch, tag or commit of a hub model.

    Returns:
        The tokenizer; the longest context in tokens, None where the model states none; the commit
        of a hub model, None for a folder.

    Raises:
        InputError: If there is no such model or file, or arguments are given without a template.
    """
    config = load_model_config(model, "--model", revision=revision)
    tokenizer = load_tokenizer(model, "--model", revision=revision)
    if chat_template is not None:
        tokenizer.chat_template = read_template(chat_template)
    if chat_template_args:
        tokenizer.chat_template = with_arguments(tokenizer.chat_template, chat_template_args)
    commit = getattr(config, "_commit_hash", None)
    return tokenizer, context_length(config), commit


def open_image_inputs(
    model: str,
    tokenizer: "PreTrainedTokenizerBase",
    problems: Iterable[Problem],
    engine: str,
    revision: str | None = None,
) -> "ImageInputs | None":
    """Load what reads prompts with images, a vision-language model's processor, if there are some.

    Args:
        model: Folder or hub id.
        tokenizer: As `open_tokenizer` returned it.
        problems: What is sampled.
        engine: What samples: a key of `rl.rollouts.engines.ENGINES`, or a class of one's own.
        revision: Branch, tag or commit of a hub model.

    Raises:
        InputError: If the model reads or the engine takes text alone, the model's processor cannot
            be loaded, or a problem's text spells out the token that stands for an image.
    """
    problems = list(problems)
    inputs = None
    if takes_images(load_model_config(model, "--model", revision=revision)) and any(
        problem.images for problem in problems
    ):
        inputs = load_image_inputs(model, "--model", tokenizer, revision=revision)
    check_images_are_read(model, "--model", problems, inputs)
    if inputs is not None:
        found = engine_class(engine, "for_model", "--engine")
        check_takes_images(found, engine, "--engine")
    return inputs


def check_cut_prompts(
    benchmarks: Sequence[Benchmark], lengths: Mapping[str, Sequence[int]], most: int
) -> None:
    """Check that no prompt with images is too long: its middle may be an image's tokens.

    Raises:
        InputError: If one is.
    """
    for benchmark in benchmarks:
        for problem, length in zip(benchmark.problems, lengths[benchmark.name], strict=True):
            if problem.images and length > most:
                raise InputError(
                    f"--max_prompt_length: got {most}, expected at least {length}, the tokens of "
                    f"problem {problem.id!r} of {benchmark.name}, because a prompt with images is "
                    "not cut. Raise it."
                )


def read_template(path: Path) -> str:
    """Read a chat template.

    Raises:
        InputError: If the file cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"--chat_template: got {path}, expected a readable Jinja file ({error}). Check "
            "the path."
        ) from error


def with_arguments(template: Any, arguments: dict[str, Any]) -> str:
    """Set a chat template's arguments in front of it, so that everything that renders sees them.

    Raises:
        InputError: If there is no template.

    Example:
        >>> with_arguments("{{ messages }}", {"enable_thinking": False})
        '{%- set enable_thinking = false -%}{{ messages }}'
    """
    if not isinstance(template, str):
        raise InputError(
            "--chat_template_args: got a model without a chat template of one text, expected one. "
            "Name a template with --chat_template."
        )
    # JSON is Jinja for text, numbers, lists and truth values; null is none.
    literals = {n: "none" if v is None else json.dumps(v) for n, v in arguments.items()}
    return "".join(f"{{%- set {n} = {text} -%}}" for n, text in literals.items()) + template


def tokenizer_hash(tokenizer: "PreTrainedTokenizerBase") -> str:
    """Hash the vocabulary and the chat template: the first 16 hex digits of the SHA-256."""
    content = json.dumps([sorted(tokenizer.get_vocab().items()), tokenizer.chat_template])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def completion_length(asked: int | None, longest_prompt: int, max_length: int | None) -> int:
    """Return the most tokens of a completion, so that prompt and completion fit the context.

    Raises:
        InputError: If they do not fit.
    """
    room = DEFAULT_MAX_COMPLETION_LENGTH if max_length is None else max_length - longest_prompt
    if max_length is not None and room < (asked or 1):
        raise InputError(
            f"--max_completion_length: got {asked or 'none'}, expected at most {room}: the longest "
            f"prompt has {longest_prompt} tokens and the model's context {max_length}. Lower it, "
            "cut long prompts in the middle with --max_prompt_length, or leave out long problems."
        )
    return asked or min(room, DEFAULT_MAX_COMPLETION_LENGTH)
