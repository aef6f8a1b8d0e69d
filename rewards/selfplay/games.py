"""Games of self-play with their rewards, built from a recipe's `selfplay` settings.

A game knows no concrete reward and a reward no game; here they meet.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rewards.selfplay.questioner import GaussianDifficulty, UncertaintyChallenge
from rewards.selfplay.verifier import VerifierVote
from rl.answers.embedding import DEFAULT_MODEL, SentenceTransformerEmbedder, free_models
from rl.errors import InputError
from rl.selfplay.document_vectors import VectorFiles, default_folder
from rl.selfplay.documents import Corpus, load_corpus
from rl.selfplay.r_zero import RZero, RZeroSettings
from rl.selfplay.role_prompts import Templates
from rl.selfplay.spell.game import Spell
from rl.selfplay.spell.settings import SpellSettings
from rl.selfplay.tasks.task import get_task
from rl.settings import build, check_settings

DEFAULT_TASKS = ("document_qa", "financial_math", "multiple_choice")
# Windows of a document that are embedded, where the model cannot read all of it at once.
MAX_WINDOWS = 4


def build_spell(
    *,
    documents: str | Mapping[str, str],
    tasks: tuple[str, ...] | Mapping[str, Mapping[str, Any] | None] = DEFAULT_TASKS,
    prompts: str | None = None,
    document_settings: Mapping[str, Any] | None = None,
    questioner: Mapping[str, Any] | None = None,
    verifier: Mapping[str, Any] | None = None,
    seed: int = 0,
    **settings: Any,
) -> Spell:
    """Build SPELL's game (`rl.selfplay.spell.game`).

    Args:
        documents: A source (`rl.selfplay.documents`) for all tasks, or task -> source.
        tasks: Names, or name -> the task's settings.
        prompts: A folder of one's own prompt files (`rl.selfplay.role_prompts`).
        document_settings: Settings of `rl.selfplay.documents.load_corpus`; `embedder`: a model
            that clusters documents for which neither a column nor a folder does; null: they are
            taken in order; `cache_folder`: where its vectors, and which documents repeat
            others, are kept for further runs; null: nowhere; left out: in the user's folder for
            caches.
        questioner: Settings of `rewards.selfplay.questioner.GaussianDifficulty`.
        verifier: Settings of `rewards.selfplay.verifier.VerifierVote`.
        seed: The run's.
        settings: Settings of `rl.selfplay.spell.settings.SpellSettings`.

    Returns:
        The game.

    Raises:
        InputError: If a name is unknown, a value breaks its rule, or documents cannot be read.
    """
    named = tasks if isinstance(tasks, Mapping) else dict.fromkeys(tasks)
    built = [get_task(name, task_settings) for name, task_settings in named.items()]
    game_settings = build("selfplay", SpellSettings, settings)
    question_reward = build("selfplay.questioner", GaussianDifficulty, questioner or {})
    judgment_reward = build("selfplay.verifier", VerifierVote, verifier or {})
    templates = {task.name: Templates(task.name, prompts) for task in built}
    corpora = _load(documents, [task.name for task in built], document_settings or {}, seed)
    return Spell(
        tasks=built,
        topics={name: corpus.topics for name, corpus in corpora.items()},
        sources={name: corpus.summary for name, corpus in corpora.items()},
        question_reward=question_reward,
        judgment_reward=judgment_reward,
        settings=game_settings,
        templates=templates,
        seed=seed,
    )


def build_r_zero(
    *,
    preset: str = "paper",
    prompts: str | None = None,
    challenger: Mapping[str, Any] | None = None,
    seed: int = 0,
    **settings: Any,
) -> RZero:
    """Build R-Zero's game (`rl.selfplay.r_zero`).

    Args:
        preset: "paper" or "reference_code", for the challenger's reward and the choice of problems.
        prompts: A folder of one's own prompt files.
        challenger: Settings of `rewards.selfplay.questioner.UncertaintyChallenge`.
        seed: Not used: the game draws nothing itself.
        settings: Settings of `rl.selfplay.r_zero.RZeroSettings`.

    Raises:
        InputError: If a name is unknown or a value breaks its rule.
    """
    return RZero(
        challenge_reward=build(
            "selfplay.challenger", UncertaintyChallenge, {"preset": preset, **(challenger or {})}
        ),
        settings=build("selfplay", RZeroSettings, {"preset": preset, **settings}),
        prompts=prompts,
    )


def _load(
    documents: str | Mapping[str, str],
    tasks: list[str],
    settings: Mapping[str, Any],
    seed: int,
) -> dict[str, Corpus]:
    """Read each source once, also if several tasks ask about it."""
    sources = dict.fromkeys(tasks, documents) if isinstance(documents, str) else dict(documents)
    for name in tasks:
        if not isinstance(sources.get(name), str):
            raise InputError(
                f"selfplay documents: got {sources.get(name)!r} for the task {name}, expected a "
                "folder or a file. Name one for each task."
            )
    rest = dict(settings)
    model = rest.pop("embedder", DEFAULT_MODEL)
    folder = rest.pop("cache_folder", default_folder())
    given = check_settings(
        "selfplay.document_settings",
        load_corpus,
        rest,
        filled_in=("source", "seed", "embed", "vector_files", "duplicate_folder"),
        further_names=("embedder", "cache_folder"),
    )
    if folder is not None:
        given["duplicate_folder"] = Path(folder).expanduser() / "duplicates"
    if model is not None:
        embedder = SentenceTransformerEmbedder(model=model, max_windows=MAX_WINDOWS)
        given["embed"] = embedder.embed
        if folder is not None:
            given["vector_files"] = VectorFiles.of_model(folder, model, repr(embedder))
    read: dict[str, Corpus] = {}
    for name in tasks:
        source = str(sources[name])
        if source not in read:
            read[source] = load_corpus(source, seed=seed, **given)
    free_models()  # the policy needs the memory
    return {name: read[str(sources[name])] for name in tasks}
