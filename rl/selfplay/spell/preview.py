"""What SPELL will be played on, checked and told before a model is loaded."""

from collections.abc import Sequence
from itertools import takewhile
from statistics import fmean, median

from rl.errors import InputError
from rl.processes import with_progress
from rl.selfplay.documents import Document, Topic
from rl.selfplay.game import CountTokens
from rl.selfplay.spell.batch import BatchPlayer
from rl.selfplay.spell.question import Visit
from rl.selfplay.tasks.task import Task


def check_prompt_length(max_prompt_tokens: int, room: int | None) -> None:
    """Check that prompts of full length fit the model.

    Args:
        max_prompt_tokens: The game's.
        room: Tokens of a prompt that the model has room for beside a completion; None: any number.

    Raises:
        InputError: If they do not.
    """
    if room is not None and max_prompt_tokens > room:
        raise InputError(
            f"selfplay max_prompt_tokens: got {max_prompt_tokens}, expected at most {room}, which "
            "the model's context leaves beside a completion. Lower max_prompt_tokens or "
            "max_completion_length."
        )


def describe_documents(
    task: Task, topics: Sequence[Topic], player: BatchPlayer, count_tokens: CountTokens
) -> str:
    """Say how many documents a task has, in how many topics, how long, and how many don't fit.

    Raises:
        InputError: If none fits into a prompt.
    """
    documents = [document for topic in topics for document in topic.documents]
    tokens = [
        player.count_document(task, document, count_tokens)
        for document in with_progress(documents, "counting tokens", "document")
    ]
    room = player.empty_room(task, count_tokens)
    num_too_long = sum(number > room for number in tokens)
    if num_too_long == len(tokens):
        raise InputError(
            f"selfplay max_prompt_tokens: got {player.settings.max_prompt_tokens}, of which the "
            f"prompt of {task.name} leaves {room} for documents, expected at least the "
            f"{min(tokens)} tokens of the shortest. Raise max_prompt_tokens, or lower "
            "max_characters in document_settings, which cuts documents."
        )
    never = f"; {num_too_long:,} over {room:,} tokens, never shown" if num_too_long else ""
    return (
        f"{len(documents):,} documents in {len(topics):,} topics; {sum(tokens):,} tokens, "
        f"{min(tokens):,} to {max(tokens):,} each, median {median(tokens):,.0f}{never}"
    )


def describe_shared_prefix(
    task: Task, topics: Sequence[Topic], player: BatchPlayer, count_tokens: CountTokens
) -> str:
    """Say with how many tokens of documents the prompts of a topic begin alike.

    That is, those of the first visit to each topic, in the mean: the documents that all responders
    see, if every document fits, and of them those that a questioner's prompt begins with too.
    """
    templates = player.templates[task.name]
    names = ("questioner", "questioner_with_memory", "responder")
    if len({templates.texts[name].partition("{{documents}}")[0] for name in names}) > 1:
        return (
            "nothing: questioner.txt, questioner_with_memory.txt and responder.txt begin "
            "differently; with {{documents}} first, what they show alike is computed once"
        )
    answering = templates.fill("responder", {"documents": "", "question": ""})
    of_responder, of_both = [], []
    for topic in topics:
        rng = player.rng("preview", task.name, topic.key)
        visit = Visit(task=task, topic=topic, number=0)
        context, _ = player.questioner_prompt(visit, rng, count_tokens)
        shown = player.responder_documents(task, topic, context, rng, answering, count_tokens)
        pairs = zip(context.documents, shown or (), strict=False)
        both = [one for one, _ in takewhile(lambda pair: pair[0] is pair[1], pairs)]
        of_both.append(_count(task, both, player, count_tokens))
        of_responder.append(_count(task, shown or (), player, count_tokens))
    return (
        f"responders' prompts of a topic begin with {fmean(of_responder):,.0f} tokens of documents "
        f"in the mean; a questioner's, of fewer documents, with the first {fmean(of_both):,.0f} of "
        "them"
    )


def _count(
    task: Task, documents: Sequence[Document], player: BatchPlayer, count_tokens: CountTokens
) -> int:
    return sum(player.count_document(task, document, count_tokens) for document in documents)
