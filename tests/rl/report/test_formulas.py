"""Where formulas stand in a text."""

import json
import shutil
import subprocess
from time import perf_counter

import pytest

from rl.report.formulas import PATTERN, answer_formula, find_formulas, read_formula

TEXTS = {
    "": [],
    "no maths, 12% of it": [],
    "$$": [],
    r"costs \$5 or \$6": [],
    "$5 and $10": [],
    "$5 and 10$ are": ["$5 and 10$"],
    "from $x$ to $y$": ["$x$", "$y$"],
    r"$a\$b$": [r"$a\$b$"],
    "$a\nb$": [],
    "$$a\nb$$": ["$$a\nb$$"],
    r"\(a\) and \[b\]": [r"\(a\)", r"\[b\]"],
    r"\( \( a \)": [r"\( a \)"],
    r"\boxed{\frac{1}{2}} and \boxed{3": [r"\boxed{\frac{1}{2}}"],
    r"$\boxed{1}$": [r"$\boxed{1}$"],
    r"\begin{align*}a&=b\end{align*}": [r"\begin{align*}a&=b\end{align*}"],
    r"\begin{align*}a&=b\end{align}": [],
    "a \U0001f600 $x$": ["$x$"],
    "$" + "x" * 1001 + "$": [],
}


@pytest.mark.parametrize("text", TEXTS)
def test_formulas_of_a_text(text):
    assert list(find_formulas(text)) == TEXTS[text]


@pytest.mark.medium
def test_a_page_s_script_finds_the_same_ones():
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node, which reads the page's pattern as a browser does")
    program = (
        "const [pattern, texts] = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
        "const found = texts.map((text) => text.match(new RegExp(pattern, 'g')) ?? []);"
        "console.log(JSON.stringify(found));"
    )
    given = json.dumps([PATTERN, list(TEXTS)])
    command = [node, "-e", program]
    result = subprocess.run(command, input=given, capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == list(TEXTS.values())


@pytest.mark.parametrize(
    "text",
    [
        "$",
        "$$",
        "$a",
        r"\(",
        r"\[a",
        r"\boxed{",
        r"\boxed{{",
        r"\boxed{a{b{",
        r"\begin{align}",
        "{",
    ],
)
def test_hostile_texts_take_no_time(text):
    start = perf_counter()
    list(find_formulas(text * (20_000 // len(text))))
    assert perf_counter() - start < 2


def test_answers_and_the_signs_around_formulas():
    assert [answer_formula(text) for text in ("", "7", "x_1", "$5", "x^" * 600)] == [
        None,
        None,
        "$x_1$",
        None,
        None,
    ]
    assert read_formula("$$x$$") == read_formula(r"\[x\]") == ("x", True)
    assert read_formula("$x$") == read_formula(r"\(x\)") == ("x", False)
    assert read_formula(r"\begin{align}x\end{align}")[1]
