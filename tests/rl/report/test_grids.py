"""Problems x evaluations, prompts x visits."""

from pathlib import Path

from rl.report.folders import ReportedRun
from rl.report.grids import evaluation_grid, make_grids, same_problems, training_grid
from rl.report.rollout_groups import group_lines
from rl.report.shown_rollouts import ShownRollouts, ShownStep
from rl.report.shown_samples import ShownProblem


def problem(name, num_right=0, *, is_right=False, label="3", prompt=""):
    return ShownProblem(
        problem_id=name,
        title=prompt or f"problem {name}",
        prompt=prompt,
        label=label,
        num_samples=4,
        num_right=num_right,
        is_right=is_right,
        classes=[],
        rollouts=[],
    )


def by_id(*problems):
    return {one.problem_id: one for one in problems}


def run_named(name, kind="evaluation"):
    return ReportedRun(name=name, path=Path(name), kind=kind)


def test_nothing_to_compare():
    assert make_grids([], []) == []
    assert make_grids([run_named("a", "run")], [ShownRollouts()]) == []


def test_evaluations_of_the_same_problems_stand_together():
    whole, begun = by_id(problem("1"), problem("2")), by_id(problem("1"))
    other_label = by_id(problem("1", label="4"), problem("2"))
    apart = by_id(problem("1"), problem("3"))
    columns = [("a", whole), ("b", begun), ("c", other_label), ("d", apart), ("e", whole)]
    sets = same_problems(columns)
    assert [[name for name, _ in members] for members in sets] == [["a", "b", "e"], ["c"], ["d"]]


def test_what_became_of_each_problem():
    a = by_id(
        problem("1", 1),
        problem("2", 4, is_right=True),
        problem("3", 2, is_right=True),
        problem("4", 0),
    )
    b = by_id(
        problem("1", 3, is_right=True, prompt="What?"),
        problem("2", 4, is_right=True),
        problem("3", 1),
    )
    grid = evaluation_grid([("a", a), ("b", b)])
    assert grid.title == "4 problems, a to b: 1 kept, 1 learned, 1 lost"
    assert [row["word"] for row in grid.rows] == ["learned", "kept", "lost", ""]
    assert [row["title"] for row in grid.rows] == ["What?", "problem 2", "problem 3", "problem 4"]
    shares = [[cell and cell["share"] for cell in row["cells"]] for row in grid.rows]
    assert shares == [[0.25, 0.75], [1.0, 1.0], [0.5, 0.25], [0.0, None]]
    assert grid.rows[0]["cells"][1]["place"] == {"run": "b"}
    assert grid.words == ["kept", "learned", "lost", "never"]
    one = evaluation_grid([("a", a)])
    assert (one.columns, one.words, one.rows[0]["word"]) == (["a"], [], "")


def test_prompts_of_training_at_their_first_and_last_visit(make_line):
    def group(answers, prompt, visit):
        lines = [make_line(i, a, 1.0, prompt_id=prompt, visit=visit) for i, a in enumerate(answers)]
        return group_lines(lines)[0]

    steps = [
        ShownStep(step=1, groups=[group("1122", "p", "0"), group("1113", "q", "0")]),
        ShownStep(step=2, groups=[group("1111", "q", "1"), group("1113", "r", "0")]),
        ShownStep(step=3, groups=[group("1222", "q", "2"), group("1111", "p", "1")]),
    ]
    grid = training_grid("run", ShownRollouts(steps=steps))
    # p has a tie at its first visit, q's majority goes from 1 to 2, r was visited once.
    assert [(row["id"], row["word"]) for row in grid.rows] == [("p", "undecided"), ("q", "flipped")]
    assert [[cell["share"] for cell in row["cells"]] for row in grid.rows] == [
        [0.5, 1.0],
        [0.75, 0.75],
    ]
    assert grid.rows[1]["cells"][1]["place"] == {"run": "run", "step": 3, "visit": "2", "role": ""}
    assert grid.rows[1]["title"] == "What is q?"
