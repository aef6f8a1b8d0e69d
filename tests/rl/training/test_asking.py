"""What rewards ask reaches the policy in few calls, and its replies reach the rewards."""

import copy
import json

import pytest
from scripted_engine import ScriptedEngine
from tiny_trainer import rows_of

from rl.errors import InputError
from rl.questions import Question
from rl.rollouts.ahead_engine import AheadEngine
from rl.rollouts.engine import derive_seed
from rl.training.asking import as_seen, ask_policy, problem_of, without_special_tokens
from rl.training.source import Policy
from rl.types import Group, Rollout

COMPLETIONS = [r"\boxed{1}", r"\boxed{2}", "="]
ROLLOUTS = (Rollout(completion="2", answer="2", cluster=0),)
GROUPS = [Group(prompt_id=f"p{i}", prompt="", rollouts=ROLLOUTS) for i in range(2)]
CHATS = [[{"role": "user", "content": "1+1="}], [{"role": "user", "content": "2+2="}]]


class Engine(ScriptedEngine):
    """Notes what it is asked; all it says of a question is the number of the reply."""

    def __init__(self, tokenizer):
        super().__init__(tokenizer, COMPLETIONS)
        self.calls = []

    def generate(self, prompt_ids, num_samples, seeds, first_sample=0):
        prompts = [self.tokenizer.decode(ids) for ids in prompt_ids]
        self.calls.append((prompts, num_samples, self.settings.max_completion_length, seeds))
        is_vote = all(prompt in ("1+1=", "2+2=") for prompt in prompts)
        self.completions = COMPLETIONS if is_vote else [str(i) for i in range(9)]
        return super().generate(prompt_ids, num_samples, seeds, first_sample)


class Asking:
    """Asks twice about every group, the second time with the first reply, and pays its length."""

    def __init__(self, **first):
        self.first = {"num_samples": 2, **first}
        self.seen = {}

    def questions(self, group):
        first = Question(key="first", **{"prompt": f"{group.problem_text};", **self.first})
        if not (replies := group.replies("first")):
            return [first]
        return [first, Question(key="then", prompt=f"{replies[1].completion};=", max_tokens=5)]

    def __call__(self, group):
        self.seen[group.prompt] = group.asked
        replies = group.replies("then")
        return [None if not replies else 1.0 * replies[0].num_tokens for _ in group.rollouts]


@pytest.fixture
def run(make_trainer, tiny_tokenizer):
    """Makes a batch with some rewards; returns it, what the engine was asked, and the trainer."""

    def make(**rewards):
        trainer = make_trainer(COMPLETIONS, rewards)
        trainer.engine = engine = Engine(tiny_tokenizer)
        return trainer.next_batch(rows_of(trainer)), engine.calls[1:], trainer

    return make


def asks_nothing(group):
    return [0.0 for _ in group.rollouts]


def test_rewards_that_ask_nothing_cost_nothing(run):
    batch, calls, trainer = run(plain=asks_nothing)
    assert calls == []
    assert not any("question" in name for name in batch.metrics)
    assert not any("asked" in line for line in batch.rollout_lines)
    assert "cost/num_asked_tokens" not in trainer.costs.finish_step()


def test_a_round_of_all_groups_and_rewards_is_one_call(run):
    one, two = Asking(), Asking()
    batch, calls, trainer = run(one=one, two=two, plain=asks_nothing)
    assert [call[:3] for call in calls] == [
        (["1+1=;", "1+1=;", "2+2=;", "2+2=;"], 2, 16),
        (["1;=", "1;=", "1;=", "1;="], 1, 5),
    ]
    # Run seed, batch, reward, prompt, visit, key: no two alike.
    visits = {line["prompt"]: (line["prompt_id"], line["visit"]) for line in batch.rollout_lines}
    parts = [(name, *visits[prompt]) for prompt in visits for name in ("one", "two")]
    assert calls[0][3] == [derive_seed(42, 0, "\x1f".join((*part, "first"))) for part in parts]
    assert len({seed for call in calls for seed in call[3]}) == 8
    # "0" and its end token: two tokens a reply.
    assert batch.rewards_by_name.tolist() == [[2.0, 2.0, 0.0]] * 6
    # Four questions of two replies and four of one; votes of 10, 10 and 2 tokens about each prompt.
    costs = trainer.costs.finish_step()
    assert costs["cost/num_asked_completions"] == 4 * 2 + 4 * 1
    assert costs["cost/num_asked_tokens"] == 2 * 12
    assert costs["cost/num_sampled_tokens"] == 2 * 22 + 24
    assert costs["cost/num_sampled_completions"] == 6 + 12


def test_replies_are_written_once_a_group(run):
    batch, _, _ = run(one=Asking())
    lines = list(batch.rollout_lines)
    assert [("asked" in line, line["rollout"]) for line in lines] == [
        (True, 0),
        (False, 1),
        (False, 2),
    ] * 2
    reply = {"completion": "1", "num_tokens": 2, "truncated": False}
    first, then = json.loads(json.dumps(lines[3]["asked"]["one"]))
    assert (first["key"], first["prompt"], first["replies"][1]) == ("first", "2+2=;", reply)
    assert then == {"key": "then", "prompt": "1;=", "replies": [{**reply, "completion": "0"}]}
    assert batch.metrics["reward/one/num_questions"] == 4
    assert batch.metrics["reward/one/left_out_questions"] == 0
    assert batch.alarms == []


def test_a_question_that_does_not_fit_is_left_out(run):
    # The model has 128 positions: 112 tokens leave room for 16 more, 113 do not.
    fits, other = Asking(prompt="1" * 112), Asking(prompt="1" * 113)
    batch, calls, _ = run(fits=fits, other=other)
    assert [prompts for prompts, *_ in calls] == [["1" * 112] * 2, ["1;="] * 2]
    assert [len(asked.replies) for asked in other.seen["1+1="]] == [0]
    assert batch.metrics["reward/other/left_out_questions"] == 2
    assert batch.metrics["reward/fits/left_out_questions"] == 0
    assert batch.rewards_by_name[:, 1].isnan().all()
    [alarm] = batch.alarms
    assert alarm.startswith("reward 'other': none of 2 questions left room for a reply")


def test_who_never_ends_is_told_so(run):
    class Endless(Asking):
        def questions(self, group):
            return [Question(key=str(len(group.asked)), prompt="1;")]

    with pytest.raises(InputError, match="reward 'endless': got new questions after 8 rounds"):
        run(endless=Endless())


def test_an_error_of_the_reward_is_one_line(run):
    class Broken(Asking):
        def questions(self, group):
            return 1 / 0

    with pytest.raises(InputError, match="reward 'broken', asking: got ZeroDivisionError"):
        run(broken=Broken())


# What the policy is shown.


def test_text_of_special_tokens_is_taken_out(run, tiny_tokenizer):
    assert without_special_tokens("1<eos>2<pad>", tiny_tokenizer) == "1 2 "
    # What is left does not join to another one.
    assert without_special_tokens("<e<eos>os>", tiny_tokenizer) == "<e os>"
    _, calls, _ = run(one=Asking(prompt="1<eos>2"))
    assert "<eos>" not in calls[0][0][0]


def test_the_problem_is_the_text_that_asks():
    assert problem_of("1+1=") == "1+1="
    chat = [{"role": "system", "content": "Sum."}, *CHATS[0], {"role": "assistant", "content": "2"}]
    assert problem_of(chat) == "1+1="
    assert problem_of(chat[:1]) == ""


@pytest.fixture
def policy_of(make_trainer):
    """Returns a policy as a source is given it, with an engine and a tokenizer of choice."""

    def make(engine, tokenizer):
        trainer = make_trainer(COMPLETIONS, {"plain": asks_nothing})
        return Policy(
            engine=engine,
            model=trainer.model,
            tokenizer=tokenizer,
            accelerator=trainer.accelerator,
            costs=trainer.costs,
            config=trainer.args,
            version=0,
        )

    return make


def test_text_becomes_a_turn_where_the_prompts_are_chats(policy_of, tiny_tokenizer):
    reward, tokenizer = Asking(), copy.deepcopy(tiny_tokenizer)
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}={{ add }}{% endfor %}"
    engine = Engine(tokenizer)
    policy = policy_of(engine, tokenizer)
    policy.config.chat_template_kwargs = {"add": "+"}
    asked = ask_policy({"one": reward, "plain": asks_nothing}, GROUPS, CHATS, policy, 0)
    assert engine.calls[0][0] == ["1+1=;=+", "2+2=;=+"]
    seen = as_seen(GROUPS[0], CHATS[0], asked, {"one": reward, "plain": asks_nothing})
    assert list(seen) == ["one"]
    [first, _] = seen["one"].asked
    assert first.prompt == [{"role": "user", "content": "1+1=;"}]
    assert [reply.completion for reply in first.replies] == ["0", "1"]
    assert seen["one"].problem_text == "1+1="


def test_an_engine_that_is_asked_ahead_is_asked_at_once(policy_of, tiny_tokenizer):
    engine = Engine(tiny_tokenizer)
    policy = policy_of(AheadEngine(engine), tiny_tokenizer)
    asked = ask_policy({"one": Asking()}, GROUPS, ["1+1=", "2+2="], policy, 0)
    assert [call[:3] for call in engine.calls] == [
        (["1+1=;", "2+2=;"], 2, 16),
        (["1;=", "1;="], 1, 5),
    ]
    assert [len(of_visit["one"]) for of_visit in asked.values()] == [2, 2]
