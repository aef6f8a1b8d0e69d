"""Which prompts a direction chooses, by hand; and a run that asks the base for it."""

import json

import pytest
import torch

from rl.errors import InputError
from rl.training.curriculum.contract import PromptFact
from rl.training.curriculum.hidden_states import (
    HiddenStates,
    cosine,
    interval,
    mean_direction,
    read_pairs,
)
from rl.training.curriculum.registry import build_curricula
from rl.training.curriculum.source import CurriculumSource

PROMPTS = [PromptFact(prompt_id=str(row), rendered="", row=row) for row in range(8)]
COSINES = {"0": 0.5, "1": -0.5, "2": 0.1, "3": 0.3, "4": 0.1, "5": 0.9, "6": 0.2, "7": 0.0}


def chosen(rule):
    rule.load_state_dict({**rule.state_dict(), "cosines": COSINES})
    return rule


def test_ranks_from_low_to_high():
    assert interval([], 0.25, 0.6) == []
    assert interval([0.3], 0.25, 0.6) == []  # floor(0.6) is 0
    assert interval([0.3], 0.0, 1.0) == [0]
    assert interval([0.1] * 4, 0.25, 0.75) == [1, 2]  # equal ones by place
    # floor(0.25 * 175) = 43 and floor(0.6 * 175) = 105, as SelectTTRL's MATH-500 would have it.
    assert interval(list(range(175)), 0.25, 0.6) == list(range(43, 105))
    # 0.29 * 100 is 28.999999999999996 in floating point.
    assert len(interval(list(range(100)), 0.0, 0.29)) == 29


def test_the_middle_is_visited_in_the_order_given():
    # Ascending: 1, 7, 2, 4, 6, 3, 0, 5; ranks floor(0.25 * 8) = 2 to floor(0.6 * 8) = 4: 2 and 4.
    rule = chosen(HiddenStates(layer=2))
    assert rule.order([7, 6, 5, 4, 3, 2, 1, 0], PROMPTS) == [4, 2]
    # Among the rows of a part, such as a file of a stream: 1, 2, 4, 0; ranks 1 to 2.
    assert rule.order([0, 1, 2, 4], PROMPTS) == [2]
    again = HiddenStates(layer=2)
    again.load_state_dict(json.loads(json.dumps(rule.state_dict())))
    assert again.order(range(8), PROMPTS) == [2, 4]


def test_before_a_model_is_there_as_many_are_told():
    assert len(HiddenStates(layer=2).order(range(8), PROMPTS)) == 2


def test_cosines_by_hand():
    direction = torch.tensor([3.0, 4.0]).double()
    assert cosine(torch.tensor([6.0, 8.0]), direction) == pytest.approx(1.0)
    assert cosine(torch.tensor([4.0, -3.0]), direction) == pytest.approx(0.0)
    assert cosine(torch.tensor([0.0, -5.0]), direction) == pytest.approx(-0.8)  # -20 / (5 * 5)
    assert cosine(torch.zeros(2), direction) == 0.0


def test_the_mean_of_differences():
    assert mean_direction([]) is None
    found = mean_direction([torch.tensor([1.0, 0.0]), torch.tensor([0.0, 3.0])])
    assert found is not None
    assert found.tolist() == [0.5, 1.5]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layer": 0}, "layer: got 0, expected"),
        ({"layer": 2, "low": 0.6}, "low: got 0.6, expected less than high"),
        ({"layer": 2, "high": 1.5}, "high: got 1.5, expected"),
        ({}, "layer"),
    ],
)
def test_a_wrong_setting(settings, message):
    with pytest.raises(InputError, match=message):
        build_curricula({"hidden_states": settings})


def write_pairs(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_pairs_are_checked(tmp_path):
    good = {"prompt": "1+1=", "positive": "2", "negative": "3"}
    assert read_pairs(write_pairs(tmp_path / "a.jsonl", [good])) == [good]
    path = write_pairs(tmp_path / "b.jsonl", [{"prompt": "1+1=", "positive": "2"}])
    with pytest.raises(InputError, match="without the column 'negative'"):
        read_pairs(path)
    path = write_pairs(tmp_path / "c.jsonl", [good, {**good, "positive": ""}])
    with pytest.raises(InputError, match=r"c.jsonl row 2: got '' for positive, expected text"):
        read_pairs(path)


# In a trainer.

COMPLETIONS = [r"1+1=2\boxed{2}", r"\boxed{2}", r"2\boxed{3}", "3"]


@pytest.fixture
def make(make_trainer):
    def build(curriculum, completions=COMPLETIONS):
        prompts = {f"{n}+{n}=": [1.0, 0.0, 1.0, 0.0] for n in range(1, 9)}
        geometry = {"num_prompts": 2, "per_device_train_batch_size": 8, "shuffle_dataset": False}
        trainer = make_trainer(completions, prompts, **geometry)
        source = CurriculumSource(
            trainer.source, trainer.train_dataset, trainer.args, build_curricula(curriculum)
        )
        trainer.source = trainer.sampling.source = source
        return trainer

    return build


def next_batch(trainer):
    return trainer.next_batch([dict(trainer.train_dataset[0])] * 8)


def state_of(trainer, prompt, completion, place, layer):
    """The hidden state at a token of a completion, of a single row."""
    tokenizer = trainer.processing_class
    ids = [tokenizer(prompt)["input_ids"], tokenizer(completion)["input_ids"]]
    row = torch.tensor([ids[0] + ids[1]])
    with torch.no_grad():
        states = trainer.model(row, output_hidden_states=True).hidden_states[layer]
    return states[0, len(ids[0]) + place].double()


def test_the_base_is_asked_once_and_its_states_choose(make):
    trainer = make({"hidden_states": {"layer": 1, "num_samples": 3, "low": 0.25, "high": 0.75}})
    batch = next_batch(trainer)
    [rule] = trainer.source.curricula.rules.values()

    def at_the_box(prompt, completion):
        ids = trainer.processing_class(completion)["input_ids"]
        pieces = [trainer.processing_class.decode([i]) for i in ids]
        return state_of(trainer, prompt, completion, pieces.index("}"), 1)

    prompts = [f"{n}+{n}=" for n in range(1, 9)]
    states = {p: [at_the_box(p, c) for c in COMPLETIONS[:3]] for p in prompts}
    # Each asks for one greedy answer, the first, and three more, two of which agree.
    direction = torch.stack([(a + b) / 2 - c for a, b, c in states.values()]).mean(dim=0)
    expected = [cosine(of[0], direction) for of in states.values()]
    assert list(rule.state_dict()["cosines"].values()) == pytest.approx(expected, abs=1e-4)
    ranked = sorted(range(8), key=lambda i: expected[i])
    assert [row.prompt for row in batch.rows[::4]] == [prompts[i] for i in sorted(ranked[2:6])[:2]]
    # What the base was asked is counted, and not asked again: 8 * (1 + 3), then 2 * 4 a batch.
    assert trainer.costs.finish_step()["cost/num_sampled_completions"] == 8 * 4 + 2 * 4
    next_batch(trainer)
    assert trainer.costs.finish_step()["cost/num_sampled_completions"] == 2 * 4


def test_it_asks_again_where_a_checkpoint_does_not_know(make):
    trainer = make({"hidden_states": {"layer": 1, "num_samples": 3, "low": 0.0, "high": 0.5}})
    [rule] = trainer.source.curricula.rules.values()
    names = trainer.train_dataset["prompt_id"]
    made_with = {"layer": 1, "num_samples": 3, "pairs": None}
    others = ({"layer": 2}, {"num_samples": 2}, {"pairs": "a.jsonl"})
    known = dict.fromkeys(names, 0.5)
    asked = []
    for made, cosines in (
        (made_with, known),
        *(({**made_with, **other}, known) for other in others),
        (made_with, dict.fromkeys(names[1:], 0.5)),  # another data set
    ):
        rule.load_state_dict({"made_with": made, "cosines": cosines})
        trainer.source.stream.load_state_dict({"epoch": -1, "rows": []})
        next_batch(trainer)
        asked.append(trainer.costs.finish_step()["cost/num_sampled_completions"] - 2 * 4)
        assert rule.state_dict()["made_with"] == made_with
        assert list(rule.state_dict()["cosines"]) == names
    assert asked == [0, *[8 * (1 + 3)] * 4]


def test_its_progress_can_be_hidden(make, capsys):
    for is_hidden in (False, True):
        trainer = make({"hidden_states": {"layer": 1, "num_samples": 3, "high": 0.75}})
        trainer.args.disable_tqdm = is_hidden
        next_batch(trainer)
        assert ("answers to select by" in capsys.readouterr().err) is not is_hidden


def test_where_all_agree_there_is_no_direction(make):
    trainer = make({"hidden_states": {"layer": 1, "num_samples": 2}})
    with pytest.raises(InputError, match="got no prompt whose sampled answers differ"):
        next_batch(trainer)


def test_a_model_of_fewer_layers_is_refused(make):
    with pytest.raises(InputError, match="layer: got 21, expected at most 2, the layers of the"):
        next_batch(make({"hidden_states": {"layer": 21}}))


def test_a_direction_of_pairs(make, tmp_path):
    pairs = [{"prompt": f"{n}+1=", "positive": str(n + 1), "negative": "9"} for n in range(1, 4)]
    path = write_pairs(tmp_path / "pairs.jsonl", pairs)
    trainer = make({"hidden_states": {"layer": 2, "pairs": path, "low": 0.0, "high": 0.5}})
    next_batch(trainer)
    [rule] = trainer.source.curricula.rules.values()
    differences = [
        state_of(trainer, pair["prompt"], pair["positive"], 0, 2)
        - state_of(trainer, pair["prompt"], pair["negative"], 0, 2)
        for pair in pairs
    ]
    direction = torch.stack(differences).mean(dim=0)
    ids = trainer.processing_class(COMPLETIONS[0])["input_ids"]
    place = [trainer.processing_class.decode([i]) for i in ids].index("}")
    expected = [
        cosine(state_of(trainer, f"{n}+{n}=", COMPLETIONS[0], place, 2), direction)
        for n in range(1, 9)
    ]
    assert list(rule.state_dict()["cosines"].values()) == pytest.approx(expected, abs=1e-4)
    # One greedy answer of each prompt and no vote.
    assert trainer.costs.finish_step()["cost/num_sampled_completions"] == 8 + 2 * 4
