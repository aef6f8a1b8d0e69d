"""What SPELL will be played on, checked and told before a model is loaded."""

from collections.abc import Sequence
from statistics import median

from rl.errors import InputError
from rl.processes import with_progress
from rl.selfplay.documents import Topic
from rl.selfplay.game import CountTokens
from rl.selfplay.spell.batch import BatchPlayer
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
