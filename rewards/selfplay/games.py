"""Games of self-play with their rewards, built from a recipe's `selfplay` settings.

A game knows no concrete reward and a reward no game; here they meet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from rewards.embedding import DEFAULT_MODEL, SentenceTransformerEmbedder, free_models
from rewards.selfplay.questioner import GaussianDifficulty, UncertaintyChallenge
from rewards.selfplay.verifier import VerifierVote
from rl.errors import InputError, unknown_name
from rl.selfplay.document_vectors import VectorFiles, default_folder
from rl.selfplay.documents import Corpus, load_corpus
from rl.selfplay.r_zero import RZero, RZeroSettings
from rl.selfplay.role_prompts import Templates
from rl.selfplay.spell.game import Spell
from rl.selfplay.spell.settings import SpellSettings
from rl.selfplay.tasks.task import TASKS, get_task

DEFAULT_TASKS = ("document_qa", "financial_math", "multiple_choice")
DOCUMENT_SETTINGS = (
    "text_column",
    "key_column",
    "embedder",
    "vector_folder",
    "cluster_size",
    "min_characters",
    "max_characters",
    "duplicate_threshold",
)
# Windows of a document that are embedded, where the model cannot read all of it at once.
MAX_WINDOWS = 4
_Built = TypeVar("_Built")


def build_spell(
    *,
    documents: str | Mapping[str, str],
    tasks: Sequence[str] | Mapping[str, Mapping[str, Any] | None] = DEFAULT_TASKS,
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
            taken in order; `vector_folder`: where its vectors are kept for further runs; null:
            nowhere; left out: in the user's folder for caches.
        questioner: Settings of `rewards.selfplay.questioner.GaussianDifficulty`.
        verifier: Settings of `rewards.selfplay.verifier.VerifierVote`.
        seed: The run's.
        settings: Settings of `rl.selfplay.spell.settings.SpellSettings`.

    Returns:
        The game.

    Raises:
        InputError: If a name is unknown, a value breaks its rule, or documents cannot be read.
    """
    named = dict(tasks) if isinstance(tasks, Mapping) else dict.fromkeys(tasks)
    built = []
    for name, task_settings in named.items():
        if name not in TASKS and ":" not in name:
            raise unknown_name("selfplay task", name, list(TASKS))
        plain = get_task(name)
        built.append(from_settings(type(plain), f"task {name}", task_settings or {}))
    game_settings = from_settings(SpellSettings, "spell", settings)
    question_reward = from_settings(GaussianDifficulty, "questioner", questioner or {})
    judgment_reward = from_settings(VerifierVote, "verifier", verifier or {})
    templates = {task.name: Templates(task.name, prompts) for task in built}
    corpora = _load(documents, [task.name for task in built], document_settings or {}, seed)
    return Spell(
        tasks=built,
        clusters={name: corpus.clusters for name, corpus in corpora.items()},
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
        challenge_reward=from_settings(
            UncertaintyChallenge, "challenger", {"preset": preset, **(challenger or {})}
        ),
        settings=from_settings(RZeroSettings, "r_zero", {"preset": preset, **settings}),
        prompts=prompts,
    )


def from_settings(kind: type[_Built], what: str, settings: Mapping[str, Any]) -> _Built:
    """Build a dataclass from settings, each checked for its name and its type.

    Raises:
        InputError: At an unknown name, a value of the wrong type, or one that breaks a rule.
    """
    known = [f.name for f in fields(kind) if f.name not in ("name", "chance")]  # type: ignore[arg-type]
    for name in settings:
        if name not in known:
            raise unknown_name(f"selfplay setting of {what}", name, known)
    try:
        return TypeAdapter(kind).validate_python(dict(settings))
    except ValidationError as error:
        problem = error.errors()[0]
        inner = problem.get("ctx", {}).get("error")
        if isinstance(inner, InputError):
            raise inner from error
        where = ".".join(map(str, problem["loc"]))
        raise InputError(
            f"selfplay {what} {where}: got {problem['input']!r}, expected {problem['msg']}. Change "
            "the value."
        ) from error


def _load(
    documents: str | Mapping[str, str],
    tasks: list[str],
    settings: Mapping[str, Any],
    seed: int,
) -> dict[str, Corpus]:
    """Read each source once, also if several tasks ask about it."""
    for name in settings:
        if name not in DOCUMENT_SETTINGS:
            raise unknown_name("selfplay setting of documents", name, list(DOCUMENT_SETTINGS))
    sources = dict.fromkeys(tasks, documents) if isinstance(documents, str) else dict(documents)
    for name in tasks:
        if not isinstance(sources.get(name), str):
            raise InputError(
                f"selfplay documents: got {sources.get(name)!r} for the task {name}, expected a "
                "folder or a file. Name one for each task."
            )
    given = dict(settings)
    model = given.pop("embedder", DEFAULT_MODEL)
    folder = given.pop("vector_folder", default_folder())
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
