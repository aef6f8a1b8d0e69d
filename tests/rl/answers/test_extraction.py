"""Where an answer is found, and where none is."""

import pytest

from rl.answers.extraction import BOX_ONLY, METHODS, completion_state, extract_answer
from rl.errors import InputError


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        r"\boxed{}",
        r"\boxed{ }",
        r"\boxed{\text{}}",
        r"\boxed{?}",
        r"\boxed{<|im_end|>}",
        r"\boxed{5",
        r"\boxed",
        r"\boxed{}. " * 5,
        "It is 5.",
        "The answer is therefore",
        "The answer is actually:\n",
        "The answer is not 5.",
        "The answer is the sum of $3$ and $4$.",
        "the answer is so far unknown",
        # A last sentence that states no value, is cut off, or only plans.
        "Therefore, x = 5",
        "Therefore, the area is",
        "So Tom is 5 and Ann is 7.",
        "Therefore we need to find x such that $x^2 = 4$.",
        "Therefore, $x = 5$. Let us check this.",
        "Therefore, $x = 5$. Hence it is prime.",
        "#### 3. Compute the sum",
        "#### Step 3",
        "#### 12\nThat was the last step",
        "The answer is found by adding 3 and 4.",
        "The answer is a sum of two primes",
        "Answer: The sum of 3 and 4",
        "Answer: Let x be 5",
        "the answer is",
        "Answer: \n\n\n",
        r"\boxedfoo{5}",
    ],
)
def test_no_answer(text):
    assert extract_answer(text) is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"\boxed{7}", "7"),
        (r"So \boxed{6}, no: $\boxed{ \frac{1}{2} }$.", r"\frac{1}{2}"),
        (r"\boxed{5} and then \boxed{6", "5"),  # the last box that closes
        (r"\boxed{5}. Write it as \boxed{}.", "5"),
        (r"\boxed{\boxed{5}}", "5"),
        (r"\boxed{x=\boxed{5}}", "5"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\left\{1, 2\right\}}", r"\left\{1, 2\right\}"),
        (
            r"\boxed{ \begin{pmatrix} 1 \\ 2 \end{pmatrix} }",
            r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}",
        ),
        (r"\boxed 7", "7"),
        (r"$\boxed 12$.", "12"),
        ("\\boxed\n{8}", "8"),
        (r"\fbox{9}", "9"),
        (r"\boxed{5<|im_end|>}", "5"),
        (r"\boxed{3} The answer is 4.", "3"),  # a box comes before a phrase
    ],
)
def test_last_balanced_box(text, answer):
    assert extract_answer(text) == answer
    assert extract_answer(text, methods=BOX_ONLY) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is 7.", "7"),
        ("The answer is 7<|im_end|>", "7"),
        ("The answer is 7</s>", "7"),
        (r"The final answer is $\frac{1}{2}$. I hope it is correct.", r"\frac{1}{2}"),
        (r"the answer is: \(3\)", "3"),
        ("Therefore the answer is\n\\[ 5 \\]", "5"),
        ("**Answer:** 42", "42"),
        ("**Answer**: x = 5 or x = 6.", "x = 5 or x = 6"),
        ("The answer is **12**.", "12"),
        ("The answer is 5 because 3 + 2 = 5", "5"),
        ("Answer: 3 hours", "3"),
        ("The answer is 12.5%.", "12.5%"),
        (r"The answer is $12$\%.", r"12\%"),
        ("The answer is 1,234.", "1,234"),
        ("The answer is (1, 2).", "(1, 2)"),
        ("The answer is east.", "east"),
        ("The answer is 3. Wait. The answer is 4.", "4"),
        ("ANSWER: -2", "-2"),
        ("Final Answer: The largest $n$ is 34.", "34"),
        ("The answer is that $x = 5$", "x = 5"),
        # Words before the answer that say nothing about it.
        ("The answer is therefore\n\n$$\\frac{1}{2}$$", r"\frac{1}{2}"),
        ("The answer is actually\n\\[ 7 \\]", "7"),
        ("The answer is simply $5$", "5"),
        ("The answer is then, of course, 5.", "5"),
        ("The answer is thus given by: 5", "5"),
        ("The answer should be 42.", "42"),
        ("The answer = 42", "42"),
        ("**Final Answer**\n\n42", "42"),
        ("### Final Answer\n\\[42\\]", "42"),
        ("The answer is approximately 3.14.", "approximately 3.14"),
        ("The answer is 1e3.", "1e3"),
        ("The answer is 3,5.", "3,5"),
        ("The answer is $5$ or $6$.", "$5$ or $6$"),
        ("The answer is (3 cm, 4 cm).", "(3 cm, 4 cm)"),
        ("The answer is (Tom, Ann).", "(Tom, Ann)"),
        ("The answer is 5 (because it is prime)", "5"),
        ("The answer is 3 (mod 5).", "3 (mod 5)"),
        ("The answer is (5 because of that", "(5"),
    ],
)
def test_final_answer_phrase(text, answer):
    assert extract_answer(text) == answer
    assert extract_answer(text, methods=BOX_ONLY) is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("We add them. Therefore, the probability that Ann wins is 2/3.", "2/3"),
        ("Thus the sum is $1+2+3 = 6$.", "1+2+3 = 6"),
        ("Hence, the value is\n\\[ \\frac{1}{2}. \\]", r"\frac{1}{2}"),
        ("So the roots are 2 and 3.", "2 and 3"),
        ("$y = 2$ so we stop, and therefore **x = 5.**", "x = 5"),
        ("Therefore, there are 12 sequences that meet the conditions. I hope it is correct.", "12"),
        ("It grows. Therefore, the error increases by 100%.<|im_end|><|im_start|>user", "100%"),
        ("Work.\n#### 1,234", "1,234"),
        ("3 + 4 = 7\n#### $7", "7"),
        ("The answer is open. Therefore, $x = 5$.", "open"),  # a phrase comes first
    ],
)
def test_concluding_last_sentence(text, answer):
    assert extract_answer(text) == answer
    assert extract_answer(text, methods=BOX_ONLY) is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [("so 5, then 1,234.5.", "1,234.5"), ("-3/4 it is", "-3/4"), ("x2 and 40%", "40%")],
)
def test_last_number_only_when_asked_for(text, answer):
    assert extract_answer(text) is None
    assert extract_answer(text, methods=METHODS) == answer


def test_a_final_answer_after_the_last_box_comes_first():
    text = r"Interest: \boxed{255}. Final Answer: The final answer is $10,455$. I hope it is."
    assert extract_answer(text) == "10,455"
    assert extract_answer(text, methods=BOX_ONLY) == "255"
    assert extract_answer(r"The final answer is $4$, or \boxed{5}") == "5"
    assert extract_answer(r"\boxed{5}. The final answer is found by adding.") == "5"


def test_methods_are_tried_in_order():
    text = r"The answer is 4. \boxed{3} and 9"
    assert extract_answer(text, methods=("final_answer_phrase", "boxed")) == "4"
    assert extract_answer(text, methods=("last_number",)) == "9"
    assert extract_answer(text, methods=()) is None


def test_unknown_method_names_the_known_ones():
    with pytest.raises(
        InputError, match=r"got 'boxd', expected one of boxed.*Did you mean 'boxed'"
    ):
        extract_answer("5", methods=("boxd",))


def test_answer_stands_after_the_thought():
    assert extract_answer(r"<think>\boxed{4}</think> It is \boxed{5}.") == "5"
    assert extract_answer(r"maybe \boxed{4}</think> It is \boxed{5}.") == "5"
    assert extract_answer(r"<think>\boxed{4}</think> I do not know.") is None
    assert extract_answer(r"<think> so far \boxed{4}") is None


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        (r"\boxed{C}", "C"),
        (r"\boxed{C} which is a", "C"),
        (r"\boxed{(c)}", "C"),
        (r"\boxed{\text{C}}", "C"),
        (r"\boxed{\textbf{(C)}\ 12}", "C"),
        (r"\boxed{C. 12}", "C"),
        ("The answer is A.", "A"),
        ("The answer is A because it moves.", "A"),
        ("The answer is (D), not a proton.", "D"),
        ("Answer: **B**", "B"),
        (r"The correct answer is $\text{B}$", "B"),
        ("The correct option is C", "C"),
        ("I compare them.\n**(B)**", "B"),
        ("B", "B"),
        (r"\boxed{12}, so the answer is D", "D"),
        ("The correct answer is option C.", "C"),
        ("So the answer is choice (B), not A.", "B"),
        (r"\boxed{Option C}", "C"),
        (r"\boxed{C: an ACE inhibitor}", "C"),
        ("Answer: [C]", "C"),
        ('Answer: "B"', "B"),
        ("The answer is C, D is wrong.", "C"),
    ],
)
def test_multiple_choice(text, letter):
    assert extract_answer(text, choices="ABCD") == letter


@pytest.mark.parametrize(
    "text",
    [
        "C because a proton moves",
        "The answer is a proton.",
        "The answer is A proton.",
        "Answer: A proton has charge.",
        r"\boxed{a proton}",
        r"\boxed{A proton}",
        r"\boxed{ACE inhibitor}",
        "Answer: Vitamin C",
        "Answer: B12",
        "The answer is D-dimer.",
        # Two letters are no answer.
        "Answer: A and B",
        "Answer: (A) or (B)",
        r"\boxed{A or B}",
        r"\boxed{A, B}",
        "The answer is A. No: the answer is C/D.",
        # The text of an option is none either.
        "Answer: Neutron",
        r"\boxed{\text{Neutron}}",
        r"\boxed{12}",
        r"\boxed{E}",
        "The answer is Carbon.",
        "The answer is C's mass.",
        "a",
        "It must be a.",
        "7",
    ],
)
def test_the_article_and_letters_of_words_are_no_choice(text):
    assert extract_answer(text, choices="ABCD", methods=METHODS) is None


def test_letters_beyond_four_are_choices_where_they_are_given():
    assert extract_answer(r"\boxed{J}", choices="ABCDEFGHIJ") == "J"
    assert extract_answer("Answer: I", choices="ABCDEFGHIJ") == "I"
    assert extract_answer("Answer: I think", choices="ABCDEFGHIJ") is None
    assert extract_answer(r"\boxed{I am sure}", choices="ABCDEFGHIJ") is None


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("The answer is E. coli.", None),
        ("E. coli causes it", None),
        ("Answer: **E. coli causes it**", None),
        (r"\boxed{E. coli}", None),
        (r"\boxed{\textit{E. coli}}", None),
        ("The answer is E.coli", None),
        (r"\boxed{C. difficile infection}", None),
        # An earlier answer counts where the last phrase holds none, as with any prose.
        ("The answer is C. The correct answer is E. coli.", "C"),
        # The letter, then the option's text.
        (r"\boxed{E. Escherichia coli}", "E"),
        ("The answer is E) E. coli", "E"),
        ("The answer is E. E. coli", "E"),
        ("The answer is D. coli are found in the gut", "D"),  # no genus of a listed species
        ("Answer: E. cold", "E"),
        ("Answer: E. colitis", "E"),
        (r"\boxed{B. serum potassium}", "B"),
        ("The answer is E.", "E"),
        ("The answer is E. It is a bacterium.", "E"),
    ],
)
def test_an_abbreviated_genus_is_no_choice(text, letter):
    assert extract_answer(text, choices="ABCDE") == letter


def test_completion_state():
    assert completion_state("5", truncated=False) == "answered"
    assert completion_state("5", truncated=True) == "answered"
    assert completion_state(None, truncated=True) == "truncated"
    assert completion_state(None, truncated=False) == "no_answer"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (" mice\n\nThis is", "mice"),
        (" went, and tomorrow I", "went"),
        (" 3.5. So", "3.5"),
        (' "New York" (a city)', "New York"),
        ("<|im_end|>\n", None),
        ("\n , so", None),
    ],
)
def test_first_phrase(text, answer):
    assert extract_answer(text, methods=["first_phrase"]) == answer
