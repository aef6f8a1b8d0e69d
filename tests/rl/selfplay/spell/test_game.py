"""Whole rounds of SPELL with a scripted policy."""

import json
import math
from statistics import fmean

import pytest

from rewards.selfplay.questioner import GaussianDifficulty
from rewards.selfplay.verifier import VerifierVote
from rl.errors import InputError
from rl.selfplay.game import Answered
from rl.selfplay.spell.canaries import CanarySettings
from rl.selfplay.spell.game import Spell
from rl.selfplay.spell.settings import SpellSettings
from rl.selfplay.tasks.document_qa import DocumentQA
from rl.selfplay.tasks.multiple_choice import MultipleChoice


def trained(round_, role):
    return [e for e in round_.episodes if e.trained and e.request.role == role]


def test_a_full_round_has_the_published_counts(make_topics, scripted_sampler):
    # N = 128, G = 8: 128 x 8 answers, 128 + 128 questions, 16 x 8 judgments.
    game = Spell(
        tasks=[DocumentQA(), MultipleChoice()],
        topics={
            "document_qa": make_topics(20),
            "multiple_choice": make_topics(20),
        },
        question_reward=GaussianDifficulty(),
        judgment_reward=VerifierVote(),
        settings=SpellSettings(canaries=CanarySettings(num_questions=0)),
    )
    assert game.max_trained == 1408
    round_ = game.play(scripted_sampler(bad_json=0.4, guess=0.5), 0)
    counts = {role: len(trained(round_, role)) for role in game.roles}
    assert counts == {"questioner": 256, "responder": 1024, "verifier": 128}
    assert sum(e.trained for e in round_.episodes) == 1408
    # The rewards of a question's answers differ, and so their advantages add up to zero.
    assert sum(e.advantage for e in trained(round_, "responder")) == pytest.approx(0, abs=1e-6)
    assert sum(e.advantage for e in trained(round_, "questioner")) == pytest.approx(0, abs=1e-6)


def test_every_completion_comes_back_and_rewards_are_the_rules(make_spell, scripted_sampler):
    sampler = scripted_sampler()
    game = make_spell()
    round_ = game.play(sampler, 0)
    asked = sum(request.num_samples for call in sampler.calls for request in call)
    assert len(round_.episodes) == asked
    keys = [(e.request.key, e.sample) for e in round_.episodes]
    assert len(set(keys)) == len(keys)
    for episode in round_.episodes:
        assert episode.trained == (episode.advantage is not None)
        match episode.request.role:
            case "responder":
                parts = episode.rewards
                assert episode.reward == max(parts["rule"], parts["verdict"] or 0.0)
            case "verifier":
                assert episode.reward in (-1.0, 0.0, 1.0, None)
                assert (episode.reward == -1.0) == (episode.answer is None)
            case "questioner" if episode.rewards["success_rate"] is not None:
                rate = episode.rewards["success_rate"]
                assert episode.reward == GaussianDifficulty()(rate)
            case "questioner":
                assert episode.reward in (-1.0, -0.5, None)
            case _:
                assert episode.reward is None
                assert not episode.trained


def test_the_funnel_narrows_and_adds_up(make_spell, scripted_sampler):
    metrics = make_spell().play(scripted_sampler(), 0).metrics
    funnel = [
        metrics[f"funnel/{stage}"]
        for stage in ("proposed", "parsed", "grounded", "informative", "trained")
    ]
    assert funnel == sorted(funnel, reverse=True)
    assert metrics["funnel/proposed"] == 12 * metrics["batches"]
    rejected = sum(value for name, value in metrics.items() if name.startswith("rejected/"))
    assert funnel[0] == rejected + funnel[3]
    assert funnel[4] == 8


def test_metrics_have_the_same_names_in_every_round(make_spell, scripted_sampler):
    full = make_spell().play(scripted_sampler(frozen=scripted_sampler(seed=9)), 0)
    empty = make_spell(max_batches=1).play(scripted_sampler(bad_json=1.0), 0)
    assert list(full.metrics) == list(empty.metrics)
    assert all(isinstance(value, float) for value in full.metrics.values())
    assert all(math.isfinite(v) for n, v in full.metrics.items() if "drift" not in n)


@pytest.mark.parametrize("order", ["given", "reversed", "sorted by key"])
def test_the_order_of_sampling_does_not_matter(make_spell, scripted_sampler, order):
    orders = {
        "given": list,
        "reversed": lambda requests: list(requests)[::-1],
        "sorted by key": lambda requests: sorted(requests, key=lambda r: r.key),
    }
    expected = play(make_spell(), scripted_sampler(), 2)
    sampler = scripted_sampler()
    sampler.order = orders[order]
    assert [r.episodes for r in play(make_spell(), sampler, 2)] == [r.episodes for r in expected]


def play(game, sampler, num_rounds, first=0):
    return [game.play(sampler, first + i) for i in range(num_rounds)]


def test_a_game_goes_on_from_its_state(make_spell, scripted_sampler):
    sampler = scripted_sampler(frozen=scripted_sampler(seed=9))
    whole = make_spell()
    rounds = play(whole, sampler, 4)
    first, second = make_spell(), make_spell()
    play(first, sampler, 2)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    resumed = play(second, sampler, 2, first=2)
    assert [r.episodes for r in resumed] == [r.episodes for r in rounds[2:]]
    assert [str(r.metrics) for r in resumed] == [str(r.metrics) for r in rounds[2:]]
    assert second.state_dict() == whole.state_dict()
    assert whole.memory.items


def test_a_state_of_other_documents_is_refused(make_spell, scripted_sampler, make_topics):
    game = make_spell()
    game.play(scripted_sampler(), 0)
    # Tasks have sources of their own, whose topics have the same names.
    two = make_spell()
    two.topics["multiple_choice"] = make_topics(name="c", num_documents=9)
    assert [c.key for c in two.topics["multiple_choice"]] == [
        c.key for c in two.topics["document_qa"]
    ]
    two.play(scripted_sampler(), 0)
    state = two.state_dict()
    two.load_state_dict(json.loads(json.dumps(state)))
    assert two.state_dict() == state
    other = make_spell()
    other.topics = {name: make_topics(name="other") for name in other.topics}
    with pytest.raises(InputError, match="questions about other documents"):
        other.load_state_dict(game.state_dict())
    with pytest.raises(InputError, match="got document_qa, expected those of the run"):
        make_spell(tasks=[DocumentQA()]).load_state_dict(game.state_dict())


def test_the_context_grows_with_the_memory(make_spell, scripted_sampler):
    game = make_spell(tasks=[DocumentQA()])
    rounds = play(game, scripted_sampler(skill=0.6), 4)
    documents = [round_.metrics["context_documents"] for round_ in rounds]
    # m = 2 at first; then those of up to L = 3 remembered questions beside them.
    assert documents[0] < min(documents[1:])
    assert max(documents) <= 2 + 3 * 2
    assert rounds[-1].metrics["remembered_examples"] > 0
    longest = max((e.request.prompt[0]["content"] for e in rounds[-1].episodes), key=len)
    assert "Example 3" in longest


def test_prompts_keep_to_their_length(make_spell, scripted_sampler):
    sampler = scripted_sampler()
    game = make_spell(tasks=[DocumentQA()], max_prompt_tokens=460)
    play(game, sampler, 3)
    prompts = [r.prompt[0]["content"] for call in sampler.calls for r in call]
    assert max(sampler.count_tokens(prompt) for prompt in prompts) <= 460
    # Nothing fits: no question is asked, and the round says so, as does the preview.
    game = make_spell(max_prompt_tokens=20)
    round_ = game.play(scripted_sampler(), 0)
    assert round_.episodes == []
    assert "no question of 0 was informative" in round_.alarms[-1]
    with pytest.raises(
        InputError, match="max_prompt_tokens: got 20, of which the prompt of docume"
    ):
        game.preview(sampler.count_tokens, None)


def test_too_few_questions_are_trained_with_smaller_advantages(make_spell, scripted_sampler):
    full = make_spell(max_batches=1, shortfall="mean", num_questions=100)
    small = make_spell(max_batches=1, shortfall="scale", num_questions=100)
    by_mean, scaled = full.play(scripted_sampler(), 0), small.play(scripted_sampler(), 0)
    kept = scaled.metrics["funnel/trained"]
    assert 0 < kept < 12
    assert scaled.metrics["advantage_scale"] == pytest.approx(kept / 100)
    assert by_mean.metrics["advantage_scale"] == 1.0
    for one, other in zip(by_mean.episodes, scaled.episodes, strict=True):
        assert one.trained == other.trained
        if one.trained:
            assert other.advantage == pytest.approx(one.advantage * kept / 100)


def test_roles_that_are_not_trained_have_no_advantage(make_spell, scripted_sampler):
    frozen = make_spell(trained_roles=["responder", "verifier"])
    round_ = frozen.play(scripted_sampler(), 0)
    assert trained(round_, "questioner") == []
    assert trained(round_, "responder")
    assert frozen.max_trained == 8 * 4 + 8


def test_equal_answers_may_share_judgments(make_spell, scripted_sampler):
    each, shared = (
        make_spell(judge_equal_answers_once=share).play(scripted_sampler(), 0)
        for share in (False, True)
    )
    verdicts = {}
    for episode in shared.episodes:
        if episode.request.role == "responder" and episode.answer is not None:
            verdict = episode.rewards["verdict"]
            assert verdicts.setdefault((episode.request.key, episode.answer), verdict) == verdict
            assert episode.reward == max(episode.rewards["rule"], verdict or 0.0)
    judged = [
        {e.request.key for e in round_.episodes if e.request.role == "verifier"}
        for round_ in (each, shared)
    ]
    assert len(judged[1]) == len(verdicts) < len(judged[0])
    assert trained(shared, "verifier")


def test_without_a_verifier_the_rule_stands(make_spell, scripted_sampler):
    sampler = scripted_sampler()
    round_ = make_spell(use_verifier=False).play(sampler, 0)
    assert not any(e.request.role == "verifier" for e in round_.episodes)
    answers = [e for e in round_.episodes if e.request.role == "responder"]
    assert all(e.reward == e.rewards["rule"] for e in answers)


def test_a_frozen_questioner_asks_what_the_policy_of_the_start_asks(make_spell, scripted_sampler):
    settings = {"trained_roles": ["responder", "verifier"], "frozen_questioner": True}
    now = scripted_sampler(frozen=scripted_sampler(bad_json=1.0, seed=9))
    round_ = make_spell(**settings).play(now, 0)
    assert round_.metrics["funnel/parsed"] == 0  # the start's questions cannot be read
    assert "questioner" not in {request.role for call in now.calls for request in call}
    with pytest.raises(ValueError, match="without a frozen policy"):
        make_spell(**settings).play(scripted_sampler(), 0)
    with pytest.raises(InputError, match="trained_roles: got the questioner beside"):
        make_spell(frozen_questioner=True)


def test_the_frozen_verifier_is_compared(make_spell, scripted_sampler):
    contrary = scripted_sampler(judge_skill=0.0, seed=1)
    round_ = make_spell().play(scripted_sampler(judge_skill=1.0, frozen=contrary), 0)
    # One live vote is NO, like the frozen one, since two of its four judgments are malformed.
    assert round_.metrics["canary/verifier_disagreement"] == 7 / 8
    assert any("verifier_disagreement" in alarm for alarm in round_.alarms)
    assert len(contrary.calls) == 1
    alone = make_spell().play(scripted_sampler(), 0)
    assert math.isnan(alone.metrics["canary/verifier_disagreement"])


def test_multiple_choice_letters_take_turns_and_stand_in_the_prompt(make_spell, scripted_sampler):
    sampler = scripted_sampler()
    make_spell(tasks=[MultipleChoice()]).play(sampler, 0)
    prompts = [r.prompt[0]["content"] for r in sampler.calls[0]]
    assert not any("{{" in prompt for prompt in prompts)
    letters = [prompt.split("Option ")[1][0] for prompt in prompts]
    assert sorted(letters) == sorted("ABCD" * 3)
    answers = {
        e.answer for e in make_spell(tasks=[MultipleChoice()]).play(sampler, 0).episodes
        if e.request.role == "responder"
    }  # fmt: skip
    assert answers == set("ABCD")


class Thinking:
    """Puts every completion into a thought that the prompt has opened."""

    def __init__(self, sampler, closes=True):
        self.sampler, self.closes = sampler, closes

    def __call__(self, requests):
        end = "</think>" if self.closes else ""
        return [
            [
                Answered(
                    completion=f'[NO] {{"a": 1}} the answer is 7 {end}{a.completion}',
                    num_tokens=a.num_tokens,
                    truncated=not self.closes,
                )
                for a in completions
            ]
            for completions in self.sampler(requests)
        ]

    def __getattr__(self, name):
        return getattr(self.sampler, name)


def test_thoughts_are_not_read(make_spell, scripted_sampler):
    plain = make_spell().play(scripted_sampler(), 0)
    thinking = make_spell(thinking=True).play(Thinking(scripted_sampler()), 0)
    assert [e.answer for e in plain.episodes] == [e.answer for e in thinking.episodes]
    assert [e.reward for e in plain.episodes] == [e.reward for e in thinking.episodes]
    endless = make_spell(thinking=True, max_batches=1)
    round_ = endless.play(Thinking(scripted_sampler(), closes=False), 0)
    # Dropped without a penalty.
    assert round_.metrics["rejected/unfinished"] == 12
    assert {e.reward for e in round_.episodes} == {None}


@pytest.mark.parametrize(
    "text",
    [
        "{" * 1_000_000,
        '{"a":' * 100_000,
        "9^9^9",
        '{"question": "9^9^9", "answer": []}',
        "\x00\ud800",
    ],
    ids=["braces", "nested", "power", "list", "surrogate"],
)
def test_hostile_completions_are_bad_questions_and_wrong_answers(
    make_spell, scripted_sampler, text
):
    sampler = scripted_sampler()
    sampler.questioner = lambda prompt, rng: text
    round_ = make_spell(max_batches=1).play(sampler, 0)
    assert round_.metrics["rejected/bad_format"] == 12
    sampler = scripted_sampler()
    sampler.responder = lambda prompt, rng: f"The answer is {text}"
    sampler.verifier = lambda prompt, rng: text
    round_ = make_spell(max_batches=1).play(sampler, 0)
    assert fmean(e.reward for e in round_.episodes if e.request.role == "responder") == 0.0


def test_bad_settings():
    with pytest.raises(InputError, match="group_size: got 1, expected at least 2"):
        SpellSettings(group_size=1)
    with pytest.raises(InputError, match="shortfall: got 'stop', expected 'scale' or 'mean'"):
        SpellSettings(shortfall="stop")
    with pytest.raises(InputError, match=r"trained_roles\.0: got 'solver'"):
        SpellSettings(trained_roles=("solver",))


def test_tasks_need_documents(make_topics):
    with pytest.raises(InputError, match="got document_qa, expected at least one, each once"):
        Spell(
            tasks=[DocumentQA()],
            topics={"multiple_choice": make_topics()},
            question_reward=GaussianDifficulty(),
            judgment_reward=VerifierVote(),
        )
