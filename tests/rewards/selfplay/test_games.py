"""Games built from a recipe's settings."""

import json

import pytest

from rewards.selfplay.games import build_r_zero, build_spell
from rl.errors import InputError
from rl.selfplay.spell.memory import MemoryItem

TEXT = "Lighthouse number {} was built of grey stone and burns oil from {} barrels every winter."


@pytest.fixture
def folder(tmp_path):
    for number in range(4):
        (tmp_path / f"{number}.txt").write_text(TEXT.format(number, number * 7) * 3)
    return str(tmp_path)


def test_published_defaults(folder):
    game = build_spell(documents=folder)
    assert [task.name for task in game.tasks] == [
        "document_qa",
        "financial_math",
        "multiple_choice",
    ]
    assert game.max_trained == 1408
    assert game.roles == ("questioner", "responder", "verifier")
    # The mastery reset is our own addition.
    assert game.memory.reset_success_rate is None
    assert game.settings.memory_documents == "new"
    assert game.sources["document_qa"].startswith("4 documents read, ")
    assert build_r_zero().max_trained == 256 + 128 * 10


def test_a_game_of_two_clustered_sources_goes_on(tmp_path):
    """Topics found by embeddings have the same names in both sources."""
    pytest.importorskip("sentence_transformers")
    for source, text in (("a", TEXT), ("b", "Canal number {} was dug in {} years by hand.")):
        (tmp_path / source).mkdir()
        for number in range(4):
            (tmp_path / source / f"{number}.txt").write_text(text.format(number, number * 7) * 3)
    vectors = str(tmp_path / "vectors")
    settings = {"cluster_size": 2, "duplicate_threshold": None, "cache_folder": vectors}
    game, again = (
        build_spell(
            documents={"document_qa": str(tmp_path / "a"), "multiple_choice": str(tmp_path / "b")},
            tasks=["document_qa", "multiple_choice"],
            document_settings=settings,
        )
        for _ in range(2)
    )
    for task, topics in game.topics.items():
        for topic in topics:
            documents = tuple(document.id for document in topic.documents)
            item = MemoryItem(documents=documents, question="?", answer="7", success_rate=0.5)
            game.memory.push(task, topic, item)
    state = json.loads(json.dumps(game.state_dict()))
    again.load_state_dict(state)
    assert again.state_dict() == game.state_dict()
    assert len({topic for _, topic in game.memory.items}) < len(game.memory.items)


def test_settings_reach_their_place(folder):
    game = build_spell(
        documents={"document_qa": folder},
        tasks={"document_qa": {"match": "substring"}},
        questioner={"sigma": 0.25},
        verifier={"malformed": -0.5},
        document_settings={"cluster_size": 2, "embedder": None, "duplicate_threshold": None},
        num_questions=16,
        canaries={"history": 8},
        trained_roles=["responder"],
        seed=7,
    )
    assert game.tasks[0].match == "substring"
    assert game.player.question_reward.sigma == 0.25
    assert game.player.judgment_reward.malformed == -0.5
    assert game.settings.canaries.history == 8
    assert game.max_trained == 16 * 8
    assert [len(topic.documents) for topic in game.topics["document_qa"]] == [2, 2]
    assert build_r_zero(challenger={"repetition_weight": 0}, group_size=4).settings.group_size == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tasks": ["qa"]}, "selfplay task: got 'qa', expected one of"),
        ({"num_question": 4}, r"got 'num_question', .* Did you mean 'num_questions'"),
        (
            {"questioner": {"mean": 0.5}},
            "setting of selfplay.questioner: got 'mean', expected one of",
        ),
        ({"questioner": {"mu": 2.0}}, "selfplay.questioner.mu: got 2.0, expected below 1"),
        ({"group_size": "many"}, "selfplay.group_size: got 'many', expected"),
        ({"canaries": {"history": -1}}, "history: got -1, expected at least 0"),
        (
            {"document_settings": {"column": "text"}},
            "setting of selfplay.document_settings: got 'column'",
        ),
        ({"documents": {"document_qa": "x"}}, "got None for the task financial_math"),
        (
            {"tasks": {"document_qa": {"matches": "x"}}},
            "setting of selfplay.tasks.document_qa: got 'matches'",
        ),
        ({"prompts": "nowhere"}, "prompts: got nowhere, expected a folder"),
    ],
    ids=range(10),
)
def test_bad_settings(folder, settings, message):
    with pytest.raises(InputError, match=message):
        build_spell(**{"documents": folder, **settings})
