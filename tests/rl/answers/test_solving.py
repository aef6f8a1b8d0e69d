"""A question's answer, by hand."""

from rl.answers.solving import voted_answer


def test_nothing_was_answered():
    assert voted_answer(["a", "b"], [None, None], [1, 1]) == {
        "answer": None,
        "majority_ratio": 0.0,
        "num_votes": 2,
        "num_abstained": 2,
        "alternatives": [],
        "reasoning": None,
    }


def test_the_vote_its_rivals_and_a_median_way_there():
    # One half has three of seven votes, in two spellings; 7 has two, 3 has one, one abstains.
    texts = ["long half", "seven", "half", "none", "short half", "seven too", "three"]
    answers = ["1/2", "7", "0.5", None, "1/2", "7", "3"]
    found = voted_answer(texts, answers, [30, 5, 20, 9, 10, 5, 5])
    assert found == {
        "answer": "1/2",
        "majority_ratio": 3 / 7,
        "num_votes": 7,
        "num_abstained": 1,
        "alternatives": [{"answer": "7", "count": 2}, {"answer": "3", "count": 1}],
        "reasoning": "half",
    }
