"""What sets two short texts apart, however near a model finds them: numbers, negations, opposites.

A sentence embedding puts "increase" beside "decrease" and "stage II" beside "stage III", because
they stand in the same places. So what can be told from the words alone is told from them. A rule
here only ever keeps two texts apart.
"""

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from itertools import product

_INITIAL = re.compile(r"\b([A-Za-z])\.(?= ?[a-z])")  # E. coli
_WORD = re.compile(r"[A-Za-z]+(?:['\u2019][a-z]+)?|\d+(?:[.,]\d+)*|%|\u00b5")
_NUMBER_WORDS = (
    *(("zero",), ("one", "once", "first", "single"), ("two", "twice", "second", "double", "both")),
    *(("three", "third", "triple"), ("four", "fourth"), ("five", "fifth"), ("six", "sixth")),
    *(("seven", "seventh"), ("eight", "eighth"), ("nine", "ninth"), ("ten", "tenth")),
    *(("eleven", "eleventh"), ("twelve", "twelfth")),
)
_ROMAN = {"ii": 2, "iii": 3, "iv": 4, "vi": 6, "vii": 7, "viii": 8, "ix": 9, "xi": 11, "xii": 12}
_NUMBERS = {word: str(n) for n, words in enumerate(_NUMBER_WORDS) for word in words} | {
    numeral: str(n) for numeral, n in _ROMAN.items()
}
# Letters that are numerals behind a word that is numbered: type I, but hepatitis X.
_ROMAN_LETTERS = {"I": "1", "V": "5", "X": "10"}
_NUMBERED = {
    *("type", "stage", "grade", "class", "phase", "group", "category", "level", "degree"),
    *("factor", "nerve", "war", "part", "chapter", "zone", "lead"),
}
_NEGATIONS = {
    *("no", "not", "never", "none", "neither", "nor", "without", "cannot", "non", "nothing"),
    *("nobody", "lack", "lacks", "lacking", "absent", "absence", "denies"),
}
_MIN_NEGATED = 4  # letters: "unsafe" negates "safe", "into" does not negate "to"
_NEGATING_PREFIXES = ("un", "in", "im", "ir", "il", "non", "dis", "a", "ab", "anti")
# Before the same rest of a word: hyperkalemia and hypokalemia.
_OPPOSITE_PREFIXES = (
    *(("hyper", "hypo"), ("tachy", "brady"), ("pre", "post"), ("ante", "post"), ("intra", "extra")),
    *(("endo", "exo"), ("macro", "micro"), ("mono", "poly"), ("uni", "bi"), ("supra", "infra")),
    *(("ab", "ad"), ("antero", "retro"), ("inter", "intra"), ("ex", "in"), ("over", "under")),
    *(("up", "down"), ("in", "out")),
)
# Beginnings of words; what stands left of a slash is opposite to what stands right of it.
_OPPOSITES = tuple(
    tuple(side.split() for side in pair.split("/"))
    for pair in (
        "increas elevat rais rise rose risen gain more up higher high most greater"
        " / decreas reduc lower fall fell lose loss less down low least fewer",
        "left / right",
        "upper above superior / lower below inferior beneath",
        "before prior / after following",
        "acute / chronic",
        "benign / malignan",
        "anterior ventral front / posterior dorsal back",
        "proximal / distal",
        "medial / lateral",
        "systol / diastol",
        "arter / vein venous",
        "afferent sensory / efferent motor",
        "male man men boy father son husband / female woman women girl mother daughter wife",
        "positiv / negativ",
        "yes true correct / no false incorrect wrong",
        "present / absen",
        "hot warm / cold cool",
        "large big / small little tiny",
        "long / short",
        "fast quick rapid / slow",
        "open / clos shut",
        "early first / late last",
        "inner internal inside / outer external outside",
        "start begin / stop end finish",
        "vasodilat dilat relax / vasoconstrict constrict contract",
        "agonist / antagonist",
        "activ stimulat excit promot / inhibit suppress block passiv",
        "oxid / reduc",
        "bacteri / virus viral",
        "north / south",
        "east / west",
        "day / night",
        "win won / lose lost",
        "buy bought purchas / sell sold sale",
        "strong / weak",
        "heavy / light",
        "hard / soft",
        "old / young new",
        "rich / poor",
        "wet / dry",
        "full / empty",
        "black / white",
        "acid / base basic alkal",
        "push / pull",
        "import / export",
        "parent / child",
    )
)
_UNITS = {
    spelling: names.split()[0]
    for names in (
        *(
            "mg milligram",
            "g gram gm",
            "kg kilogram",
            "mcg microgram ug",
            "ml milliliter millilitre",
        ),
        *("l liter litre", "dl deciliter", "mm millimeter millimetre", "cm centimeter centimetre"),
        *("m meter metre", "km kilometer kilometre", "mile mi", "inch in", "foot feet ft"),
        *("second sec s", "minute min", "hour hr h", "day d", "week wk", "month", "year yr"),
        *("celsius c", "fahrenheit f", "kelvin k", "percent %", "unit", "pound lb", "ounce oz"),
        *("dollar", "euro", "tesla", "bpm", "mmhg", "kcal", "joule j", "watt w", "volt v"),
    )
    for spelling in names.split()
}


def are_set_apart(left: str, right: str) -> bool:
    """Tell whether words alone say that two short texts mean different things.

    They do where the texts differ in their numbers (also as words and Roman numerals; I, V and X
    are numerals behind some words alone, as "type"), in letters that stand alone ("vitamin C"), in
    units after a number, in how often they negate, or where one has a word and the other its
    opposite: by a table, or by a prefix before the same word. A number that one text leaves out
    sets them apart too, "a single mass" from "a mass".

    Args:
        left: A text of some words.
        right: The same; the order of both plays no part.

    Example:
        >>> are_set_apart("increased heart rate", "decreased heart rate")
        True
        >>> are_set_apart("heart attack", "myocardial infarction")
        False
    """
    one, other = _features(left), _features(right)
    if any(one[part] != other[part] for part in ("numbers", "letters", "negations")):
        return True
    # What one leaves out, the other may say: 5 and 5 mg, coli and E. coli.
    if any(
        one[part] and other[part] and one[part] != other[part] for part in ("units", "initials")
    ):
        return True
    ours, theirs = set(one["words"]), set(other["words"])
    return _are_opposite(ours - theirs, theirs - ours)


@lru_cache(maxsize=20_000)
def _features(text: str) -> dict[str, Counter[str]]:
    """What of a text is compared: numbers, letters, initials, units, negations and words."""
    numbers, letters, units, words = [], [], [], []
    initials = [initial.lower() for initial in _INITIAL.findall(text)]
    found = _WORD.findall(_INITIAL.sub(" ", text))
    for place, word in enumerate(found):
        lower = word.lower()
        number = _NUMBERS.get(lower)
        if word[0].isdigit():
            numbers.append(word.replace(",", "").lstrip("0") or "0")
        elif number:
            numbers.append(number)
        elif word in _ROMAN_LETTERS and place > 0 and found[place - 1].lower() in _NUMBERED:
            numbers.append(_ROMAN_LETTERS[word])
        elif len(word) == 1 and word.isalpha() and word != "a" and (word != "A" or place > 0):
            letters.append(lower)
        after_number = place > 0 and found[place - 1][0].isdigit()
        if after_number and (unit := _UNITS.get(lower) or _UNITS.get(lower.rstrip("s"))):
            units.append(unit)
        if len(lower) > 1:
            words.append(lower)
    negations = [w for w in words if w in _NEGATIONS or w.endswith(("n't", "n\u2019t"))]
    return {
        "numbers": Counter(numbers),
        "letters": Counter(letters),
        "units": Counter(units),
        "initials": Counter(initials),
        "negations": Counter(["not"] * len(negations)),
        "words": Counter(words),
    }


def _are_opposite(left: Iterable[str], right: Iterable[str]) -> bool:
    """Tell whether a word of one side is the opposite of a word of the other."""
    left, right = list(left), list(right)
    for one, other in _OPPOSITES:
        if (_begin(left, one) and _begin(right, other)) or (
            _begin(left, other) and _begin(right, one)
        ):
            return True
    return any(
        longer == f"{prefix}{shorter}"
        for pair in product(left, right)
        for shorter, longer in [sorted(pair, key=len)]
        for prefix in _NEGATING_PREFIXES
        if len(shorter) >= _MIN_NEGATED
    ) or any(
        (a.startswith(x) and b.startswith(y) and a[len(x) :] == b[len(y) :])
        or (a.startswith(y) and b.startswith(x) and a[len(y) :] == b[len(x) :])
        for a, b in product(left, right)
        for x, y in _OPPOSITE_PREFIXES
    )


def _begin(words: Iterable[str], stems: Iterable[str]) -> bool:
    """Tell whether a word is one of the stems, or begins with one of at least four letters."""
    return any(
        word == stem or (len(stem) >= 4 and word.startswith(stem))
        for word in words
        for stem in stems
    )
