r"""Questions about tiny pictures that a teacher mostly guesses and sometimes works out.

A picture is a grid of three by three cells of 8 x 8 pixels, on a dark ground: in each cell a shape
(square, ring, triangle) or a digit, in a colour and a place of its own, or nothing. Asked is

    counting    How many squares are there?             one picture of shapes
    digits      What is the sum of the digits?          one picture, a digit in each row and column
    comparing   By how many squares do they differ?     two pictures of shapes

The teacher answers in one of three ways; in the last two it reads the picture:

    guess       \boxed{3}
    by rows     rows:x..+...+.xx=3\boxed{3}      or, of digits,   rows:.4.+..1+3..=8\boxed{8}
    by columns  columns:x..+..x+..x=3\boxed{3}                    columns:..3+4..+.1.=8\boxed{8}

It marks the cells that hold what is asked for, or copies the digits, and reads two pictures one
after the other: `rows:x..+...+.xx=3;...+x..+...=1;3-1=2\boxed{2}`. How often it works at all
depends on the kind of question alone (`WORK_PROB`), and then either way is as likely. A guess knows
nothing of the picture: four in ten are the kind's `FAVOURITE`, the others spread evenly. Working is
right but for slips (`SLIP_PROB` a number, `WRONG_MARK_PROB` a cell), which are carried on, and
ends without a box one time in twenty. So the greedy answer is the favourite, whatever the picture
shows, and answers that were worked out agree with one another more often than guesses do.

The first token decides the way. A tokenizer that writes `rows:`, `columns:`, `\boxed{` and numbers
up to 99 as one token each makes every choice a single token.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from PIL import Image, ImageDraw

from rl.testbed.parts import BOXED, Part, draw

Kind = Literal["counting", "digits", "comparing"]
Shape = Literal["square", "ring", "triangle"]
Way = Literal["guess", "rows", "columns"]

SHAPES: tuple[Shape, ...] = get_args(Shape)
SIDE = 3
CELL = 8
SIZE = SIDE * CELL
COLOURS = ("#f2c14e", "#5bc0eb", "#9bc53d", "#fa7921", "#e55934", "#f7f7f7")
# Three columns by five rows of a digit, top row first, the left column is the highest bit.
GLYPHS = ("75557", "26227", "71747", "71717", "55711", "74717", "74757", "71111", "75757", "75717")

# How often the teacher works, by what is asked.
WORK_PROB: Mapping[Kind, float] = {"counting": 0.45, "digits": 0.5, "comparing": 0.55}
FAVOURITE: Mapping[Kind, int] = {"counting": 3, "digits": 6, "comparing": 1}
FAVOURITE_PROB = 0.4
GUESSES: Mapping[Kind, range] = {
    "counting": range(10),
    "digits": range(3, 13),
    "comparing": range(7),
}
SLIP_PROB = 0.02
WRONG_MARK_PROB = 0.005
MARK = "x"
NO_MARK = "."
NO_BOX_PROB = 0.05
LABELS: Mapping[Kind, range] = {"counting": range(1, 7), "comparing": range(5)}
DIGITS = range(1, 5)


@dataclass(frozen=True)
class Picture:
    """What a picture shows.

    Attributes:
        marks: What is in each cell, row by row: a shape, a digit, or "" for nothing.
        look: Seed of the colours and of the places within the cells, which nobody asks about.
    """

    marks: tuple[str, ...]
    look: int


@dataclass(frozen=True)
class Problem:
    """A question about one or two pictures.

    Attributes:
        kind: What is asked.
        shape: Of what; None of digits.
        pictures: Two where they are compared, else one.
    """

    kind: Kind
    shape: Shape | None
    pictures: tuple[Picture, ...]


DESCRIBE = "What is in each cell?"


def draw_picture(picture: Picture) -> Image.Image:
    """Draw a picture, in RGB, `SIZE` pixels wide and high.

    Example:
        >>> image = draw_picture(Picture(("square", *[""] * 8), look=0))
        >>> image.size, len(image.crop((0, 0, 8, 8)).getcolors()), len(image.getcolors())
        ((24, 24), 2, 2)
    """
    rng = random.Random(picture.look)
    image = Image.new("RGB", (SIZE, SIZE), (rng.randrange(40),) * 3)
    canvas = ImageDraw.Draw(image)
    for place, mark in enumerate(picture.marks):
        colour = rng.choice(COLOURS)
        down, across = rng.randrange(3), rng.randrange(3)
        left, top = place % SIDE * CELL + across, place // SIDE * CELL + down
        _draw_mark(canvas, mark, left, top, colour)
    return image


def write_prompt(kind: Kind, shape: Shape | None) -> str:
    """Put a question into words.

    Example:
        >>> write_prompt("comparing", "ring")
        'By how many rings do they differ?'
    """
    if kind == "digits":
        return "What is the sum of the digits?"
    if kind == "counting":
        return f"How many {shape}s are there?"
    return f"By how many {shape}s do they differ?"


def draw_problem(rng: random.Random, kind: Kind, shapes: Iterable[Shape] = SHAPES) -> Problem:
    """Draw a question with its pictures; answers of `LABELS` are equally likely.

    Args:
        rng: Where everything comes from.
        kind: What is asked.
        shapes: Which of them may be asked about; pictures hold all three.
    """
    if kind == "digits":
        columns = rng.sample(range(SIDE), SIDE)
        marks = [""] * SIDE**2
        for row, column in enumerate(columns):
            marks[row * SIDE + column] = str(rng.choice(DIGITS))
        return Problem(kind, None, (Picture(tuple(marks), rng.randrange(2**32)),))
    shape = rng.choice(list(shapes))
    answer = rng.choice(LABELS[kind])
    if kind == "counting":
        return Problem(kind, shape, (_draw_shapes(rng, shape, answer),))
    fewer = rng.randint(0, max(LABELS["counting"]) - answer)
    counts = rng.sample((fewer, fewer + answer), 2)
    first, second = (_draw_shapes(rng, shape, count) for count in counts)
    return Problem(kind, shape, (first, second))


def describe(problem: Problem, way: Literal["rows", "columns"]) -> str:
    """Write down what is in each cell, a letter or a digit each, laid out as the work is.

    Example:
        >>> picture = Picture(("square", "ring", "", "", "", "", "triangle", "", ""), look=0)
        >>> describe(Problem("counting", "square", (picture,)), "rows")
        'rows:sr.+...+t..'
    """
    pictures = (
        "+".join("".join(mark[:1] or NO_MARK for mark in line) for line in _lines(picture, way))
        for picture in problem.pictures
    )
    return f"{way}:" + ";".join(pictures)


def answer_of(problem: Problem) -> int:
    """Return the right answer.

    Example:
        >>> picture = Picture(("square", "ring", "", "", "square", "", "", "", ""), look=0)
        >>> answer_of(Problem("counting", "square", (picture,)))
        2
    """
    totals = [_total("".join(read_lines(problem, p, "rows"))) for p in problem.pictures]
    return abs(totals[0] - totals[1]) if problem.kind == "comparing" else totals[0]


def read_lines(problem: Problem, picture: Picture, way: Literal["rows", "columns"]) -> list[str]:
    """Read each row, from the top, or each column, from the left: its digits, or its cells marked.

    Example:
        >>> picture = Picture(("", "4", "", "", "", "1", "3", "", ""), look=0)
        >>> read_lines(Problem("digits", None, (picture,)), picture, "columns")
        ['..3', '4..', '.1.']
        >>> picture = Picture(("square", "ring", "", "", "square", "", "", "", ""), look=0)
        >>> read_lines(Problem("counting", "square", (picture,)), picture, "rows")
        ['x..', '.x.', '...']
    """
    if problem.kind == "digits":
        return ["".join(mark or NO_MARK for mark in line) for line in _lines(picture, way)]
    return [
        "".join(MARK if mark == problem.shape else NO_MARK for mark in line)
        for line in _lines(picture, way)
    ]


def _lines(picture: Picture, way: Literal["rows", "columns"]) -> list[tuple[str, ...]]:
    rows = [picture.marks[start : start + SIDE] for start in range(0, SIDE**2, SIDE)]
    return rows if way == "rows" else list(zip(*rows, strict=True))


def _total(read: str) -> int:
    """Add what was read off a picture: digits, or one for each marked cell."""
    return sum(1 if sign == MARK else 0 if sign == NO_MARK else int(sign) for sign in read)


def way_of(completion: str) -> Way:
    r"""Say how a completion goes about it: its first token tells.

    Example:
        >>> [way_of(text) for text in (r"\boxed{4}", "rows:1+1+2=4", "columns:0+2+2=4")]
        ['guess', 'rows', 'columns']
    """
    for way in ("rows", "columns"):
        if completion.startswith(f"{way}:"):
            return way
    return "guess"


def guess_distribution(kind: Kind) -> dict[int, float]:
    """Return what the teacher may guess, and with which probability.

    Example:
        >>> guess_distribution("comparing")[1]  # the favourite, and one of seven
        0.48571428571428577
    """
    guesses = {number: (1 - FAVOURITE_PROB) / len(GUESSES[kind]) for number in GUESSES[kind]}
    guesses[FAVOURITE[kind]] += FAVOURITE_PROB
    return guesses


def slip_distribution(right: int) -> dict[int, float]:
    """Return what the teacher may write for a number: one too few or too many, now and then.

    Example:
        >>> slip_distribution(2), slip_distribution(0)
        ({2: 0.98, 1: 0.01, 3: 0.01}, {0: 0.98, 1: 0.02})
    """
    neighbours = [number for number in (right - 1, right + 1) if number >= 0]
    return {right: 1 - SLIP_PROB} | {n: SLIP_PROB / len(neighbours) for n in neighbours}


def sign_distribution(right: str) -> dict[str, float]:
    """Return what the teacher may write for a digit or for a cell, marked or not.

    Example:
        >>> sign_distribution("x"), sign_distribution("2")["3"]
        ({'x': 0.995, '.': 0.005}, 0.01)
    """
    if right in (MARK, NO_MARK):
        wrong = NO_MARK if right == MARK else MARK
        return {right: 1 - WRONG_MARK_PROB, wrong: WRONG_MARK_PROB}
    return {str(number): prob for number, prob in slip_distribution(int(right)).items()}


def write_solution(problem: Problem, rng: random.Random, way: Way | None = None) -> list[Part]:
    r"""Answer as the teacher does; a slip is carried on.

    Args:
        problem: What is asked.
        rng: Where the teacher's choices come from.
        way: How to go about it; None draws it as the teacher does.

    Returns:
        The completion, part by part, each with what might have stood in its place.

    Example:
        >>> picture = Picture(("", "4", "", "", "", "1", "3", "", ""), look=0)
        >>> problem = Problem("digits", None, (picture,))
        >>> parts = write_solution(problem, random.Random(3), "rows")
        >>> "".join(part.text for part in parts)
        'rows:.4.+..1+3..=8\\boxed{8}'
    """
    work = WORK_PROB[problem.kind]
    first = draw({BOXED: 1 - work, "rows:": work / 2, "columns:": work / 2}, rng)
    if way is not None:
        first = first._replace(text=BOXED if way == "guess" else f"{way}:")
    if first.text == BOXED:
        return [first, draw(guess_distribution(problem.kind), rng), Part("}")]
    parts, totals = [first], []
    for picture in problem.pictures:
        parts += [Part(";")] if totals else []
        total = 0
        lines = read_lines(problem, picture, "rows" if first.text == "rows:" else "columns")
        for line, sign in zip(lines, "++=", strict=True):
            read = [
                Part(NO_MARK)
                if problem.kind == "digits" and right == NO_MARK
                else draw(sign_distribution(right), rng)
                for right in line
            ]
            parts += [*read, Part(sign)]
            total += sum(_total(part.text) for part in read)
        totals.append(draw(slip_distribution(total), rng))
        parts.append(totals[-1])
    if len(totals) == 2:
        more, fewer = sorted((int(part.text) for part in totals), reverse=True)
        totals.append(draw(slip_distribution(more - fewer), rng))
        parts += [Part(f";{more}-{fewer}="), totals[-1]]
    box = draw({BOXED: 1 - NO_BOX_PROB, "": NO_BOX_PROB}, rng)
    return [*parts, box, Part(f"{totals[-1].text}}}")] if box.text else [*parts, box]


def _draw_shapes(rng: random.Random, shape: Shape, count: int) -> Picture:
    """Draw a picture with so many of a shape, among others and empty cells."""
    others = [other for other in ("", *SHAPES) if other != shape]
    marks = [shape] * count + [rng.choice(others) for _ in range(SIDE**2 - count)]
    rng.shuffle(marks)
    return Picture(tuple(marks), rng.randrange(2**32))


def _draw_mark(canvas: ImageDraw.ImageDraw, mark: str, left: int, top: int, colour: str) -> None:
    """Draw a shape or a digit, five pixels high, with its upper left corner there.

    Digits are six wide, twice as wide as their glyphs, to be told apart.
    """
    box = (left, top, left + 4, top + 4)
    if mark == "square":
        canvas.rectangle(box, fill=colour)
    elif mark == "ring":
        canvas.ellipse(box, outline=colour)
    elif mark == "triangle":
        canvas.polygon([(left + 2, top), (left, top + 4), (left + 4, top + 4)], fill=colour)
    elif mark:
        for down, bits in enumerate(GLYPHS[int(mark)]):
            for across in range(3):
                if int(bits) & (4 >> across):
                    x, y = left + 2 * across, top + down
                    canvas.line((x, y, x + 1, y), fill=colour)
