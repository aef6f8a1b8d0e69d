"""Word problems for a small pretrained model: plurals, past tenses and kinds of things, in English.

Each prompt shows one or two examples and breaks off, so that a model which has only learned to
continue text answers in a word or two:

    play: played       one woman, two women      dog: animal
    come: came         one mouse, two            shirt: clothing
    go:                                          oak:

The labels are our own. Words with several right answers (learned, learnt) are left out.
"""

import random
from collections.abc import Sequence
from pathlib import Path

from rl.data.json_lines import write_json_lines

NUM_HELDOUT_PER_FAMILY = 32

PATTERNS = {
    "past": "play: played\ncome: came\n{word}:",
    "plural": "one woman, two women\none {word}, two",
    "kind": "dog: animal\nshirt: clothing\n{word}:",
}
PAST_TENSES = """
become became, begin began, bite bit, blow blew, break broke, bring brought, build built,
buy bought, catch caught, choose chose, cut cut, deal dealt, dig dug, do did, draw drew,
drink drank, drive drove, eat ate, fall fell, feed fed, feel felt, fight fought, find found,
fly flew, forget forgot, forgive forgave, freeze froze, get got, give gave, go went, grow grew,
have had, hear heard, hide hid, hit hit, hold held, keep kept, know knew, lay laid, lead led,
leave left, lend lent, let let, lose lost, make made, mean meant, meet met, pay paid, put put,
read read, ride rode, rise rose, run ran, say said, see saw, sell sold, send sent, set set,
shake shook, shoot shot, shut shut, sit sat, sleep slept, speak spoke, spend spent, stand stood,
steal stole, stick stuck, strike struck, swear swore, swim swam, swing swung, take took,
teach taught, tear tore, tell told, think thought, throw threw, understand understood, wear wore,
win won, write wrote, ask asked, call called, carry carried, close closed, cook cooked, cry cried,
drop dropped, hope hoped, jump jumped, like liked, look looked, love loved, move moved,
need needed, open opened, plan planned, smile smiled, stop stopped, study studied, talk talked,
try tried, turn turned, use used, wait waited, walk walked, want wanted, wash washed, work worked,
worry worried
"""
PLURALS = """
mouse mice, child children, foot feet, tooth teeth, goose geese, man men, wolf wolves,
leaf leaves, knife knives, wife wives, life lives, half halves, shelf shelves, thief thieves,
loaf loaves, calf calves, potato potatoes, tomato tomatoes, hero heroes, echo echoes, box boxes,
fox foxes, bus buses, class classes, glass glasses, dress dresses, church churches, watch watches,
match matches, peach peaches, dish dishes, brush brushes, city cities, baby babies, lady ladies,
story stories, country countries, party parties, family families, berry berries, fly flies,
army armies, boy boys, day days, key keys, monkey monkeys, toy toys, book books, car cars,
tree trees, house houses, apple apples, table tables, chair chairs, bird birds, cow cows,
king kings, river rivers, road roads, ship ships, song songs, star stars, teacher teachers,
door doors, window windows, flower flowers, garden gardens, horse horses, island islands,
lamp lamps, letter letters, mountain mountains, pencil pencils, picture pictures, planet planets,
queen queens, school schools, soldier soldiers, spoon spoons, train trains, village villages,
wheel wheels, bench benches, branch branches, beach beaches, bridge bridges, cherry cherries,
circle circles, cousin cousins, doctor doctors, engine engines, farmer farmers, forest forests,
guest guests, hour hours, idea ideas, judge judges, kiss kisses, lion lions, metal metals,
nurse nurses, ocean oceans, puppy puppies, rabbit rabbits, sister sisters, tiger tigers,
uncle uncles, valley valleys, worker workers
"""
KINDS = """
oak tree, pine tree, maple tree, birch tree, willow tree, rose flower, tulip flower, daisy flower,
lily flower, orchid flower, apple fruit, banana fruit, pear fruit, grape fruit, mango fruit,
plum fruit, carrot vegetable, cabbage vegetable, spinach vegetable, broccoli vegetable,
lettuce vegetable, celery vegetable, eagle bird, sparrow bird, pigeon bird, parrot bird,
robin bird, crow bird, salmon fish, tuna fish, trout fish, shark fish, herring fish, cod fish,
ant insect, bee insect, beetle insect, mosquito insect, butterfly insect, wasp insect,
hammer tool, saw tool, wrench tool, screwdriver tool, drill tool, pliers tool, violin instrument,
piano instrument, guitar instrument, flute instrument, trumpet instrument, cello instrument,
red color, blue color, green color, purple color, yellow color, orange color, iron metal,
gold metal, copper metal, silver metal, zinc metal, aluminum metal, chair furniture,
table furniture, sofa furniture, desk furniture, wardrobe furniture, bookcase furniture,
doctor profession, teacher profession, lawyer profession, plumber profession, engineer profession,
nurse profession, France country, Japan country, Brazil country, Egypt country, Canada country,
Norway country, Paris city, London city, Tokyo city, Berlin city, Madrid city, Chicago city,
soccer sport, tennis sport, hockey sport, golf sport, baseball sport, rugby sport, Monday day,
Friday day, Sunday day, Tuesday day, June month, March month, August month, October month,
Mars planet, Venus planet, Saturn planet, Jupiter planet, triangle shape, square shape,
circle shape, rectangle shape
"""
_WORDS = {"past": PAST_TENSES, "plural": PLURALS, "kind": KINDS}


def word_problems(family: str) -> list[dict[str, str]]:
    r"""Return all problems of a family of `PATTERNS`, as {"prompt", "label"}.

    Example:
        >>> word_problems("plural")[0]
        {'prompt': 'one woman, two women\none mouse, two', 'label': 'mice'}
    """
    pairs = [pair.split() for pair in _WORDS[family].replace("\n", " ").split(",")]
    return [{"prompt": PATTERNS[family].format(word=w), "label": label} for w, label in pairs]


def write_word_problems(folder: Path) -> None:
    """Write the problems of all families (`write_problems`).

    The split is the same on every machine: of each family `NUM_HELDOUT_PER_FAMILY` problems are
    held out, drawn with a fixed seed.
    """
    train, heldout = [], []
    for family in PATTERNS:
        problems = word_problems(family)
        random.Random(family).shuffle(problems)
        heldout += problems[:NUM_HELDOUT_PER_FAMILY]
        train += problems[NUM_HELDOUT_PER_FAMILY:]
    write_problems(folder, train, heldout)


def write_problems(
    folder: Path, train: Sequence[dict[str, str]], heldout: Sequence[dict[str, str]]
) -> None:
    """Write train.jsonl (prompts alone), labelled.jsonl (the same with labels) and heldout.jsonl.

    Args:
        folder: Made if it is not there; files of these names are replaced.
        train: Problems to train on, as {"prompt", "label"}.
        heldout: Other problems, likewise.
    """
    files = {
        "train": [{"prompt": problem["prompt"]} for problem in train],
        "labelled": train,
        "heldout": heldout,
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in files.items():
        write_json_lines(folder / f"{name}.jsonl", rows)
