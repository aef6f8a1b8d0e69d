"""Prompts by the share of their leading answer: numbers by hand."""

import gzip
import json

import pytest

from rl.errors import InputError
from rl.training.curriculum.contract import PromptFact
from rl.training.curriculum.easy_first import EasyFirst

# Row 0 of the training set is row 0 of the file, the others are behind a dropped row.
PROMPTS = [PromptFact(prompt_id=f"p{row}", rendered=f"{row}?", row=row) for row in (0, 2, 3, 4)]
RATIOS = {0: 0.25, 1: 1.0, 2: 0.5, 3: 0.5, 4: 0.75}


@pytest.fixture
def votes(tmp_path):
    """A file as `solve.py` writes it."""

    def write(ratios, name="votes.jsonl"):
        lines = [json.dumps({"id": i, "majority_ratio": r}) + "\n" for i, r in ratios.items()]
        opened = gzip.open if name.endswith(".gz") else open
        with opened(tmp_path / name, "wt") as file:
            file.writelines(lines)
        return str(tmp_path / name)

    return write


@pytest.mark.parametrize("name", ["votes.jsonl", "votes.jsonl.gz"])
def test_the_largest_share_comes_first_and_equal_ones_keep_their_order(votes, name):
    # Rows 0 to 3 have 0.25, 0.5, 0.5, 0.75.
    rule = EasyFirst(majority_ratios=votes(RATIOS, name))
    assert rule.order([0, 1, 2, 3], PROMPTS) == [3, 1, 2, 0]
    assert rule.order([2, 0, 1, 3], PROMPTS) == [3, 2, 1, 0]


@pytest.mark.parametrize(("share", "kept"), [(1.0, 4), (0.5, 2), (0.26, 2), (0.25, 1), (1e-9, 1)])
def test_the_easiest_share_is_visited(votes, share, kept):
    rule = EasyFirst(majority_ratios=votes(RATIOS), share=share)
    assert rule.order([0, 1, 2, 3], PROMPTS) == [3, 1, 2, 0][:kept]


def test_a_prompt_goes_by_its_id_too(votes):
    rule = EasyFirst(majority_ratios=votes({"p0": 1.0, "p2": 0.0, "p3": 0.5, "p4": 0.2}))
    assert rule.order([0, 1, 2, 3], PROMPTS) == [0, 2, 3, 1]


def test_without_a_file_it_follows_the_policys_own_votes(make_group):
    rule = EasyFirst(share=0.5)
    assert rule.order([2, 0, 3, 1], PROMPTS) == [2, 0, 3, 1]
    rule.observe(
        [
            make_group(["1", "2", None, None], prompt_id="p0"),  # 1/4
            make_group([None] * 4, prompt_id="p2"),  # 0
            make_group(["1", "1", "1", "2"], prompt_id="p3"),  # 3/4
        ]
    )
    # p4 was never visited.
    assert rule.order([2, 0, 3, 1], PROMPTS) == [2, 0]
    rule.observe([make_group(["1"] * 4, prompt_id="p0")])
    assert rule.order([2, 0, 3, 1], PROMPTS) == [0, 2]

    again = EasyFirst(share=0.5)
    again.load_state_dict(json.loads(json.dumps(rule.state_dict())))
    assert again.order([2, 0, 3, 1], PROMPTS) == [0, 2]


def test_with_a_file_nothing_is_remembered(votes, make_group):
    rule = EasyFirst(majority_ratios=votes(RATIOS))
    rule.observe([make_group(["1"] * 4, prompt_id="p0")])
    assert rule.state_dict() == {"majority_ratios": {}}


def test_a_prompt_without_a_line_is_named(votes):
    rule = EasyFirst(majority_ratios=votes({0: 0.5, 2: 0.5, 3: 0.5}))
    with pytest.raises(InputError, match="got no line for row 4 of the data set"):
        rule.order([0, 1, 2, 3], PROMPTS)


@pytest.mark.parametrize("line", ['{"id": 0}', '{"majority_ratio": 1}', "5", '{"id": 0, "x": 1}'])
def test_a_line_of_another_kind_is_named(tmp_path, line):
    (tmp_path / "votes.jsonl").write_text(f'{{"id": 1, "majority_ratio": 0.5}}\n{line}\n')
    with pytest.raises(InputError, match=r"votes\.jsonl line 2: got"):
        EasyFirst(majority_ratios=str(tmp_path / "votes.jsonl")).order([0], PROMPTS)


def test_a_missing_file_says_how_to_write_it():
    with pytest.raises(InputError, match=r"expected an existing file.*solve\.py"):
        EasyFirst(majority_ratios="nowhere.jsonl").order([0], PROMPTS)
