"""A policy that follows a script, and small topics of documents to play with."""

import json
import random

import pytest

from rl.rollouts.engine import derive_seed
from rl.selfplay.documents import Document, Topic
from rl.selfplay.game import Answered

COLOURS = ("red", "blue", "green", "black")


class ScriptedSampler:
    """Answers as a mediocre policy would; a completion depends on its request and number alone.

    Documents say `The colour of thing 3 is red.`; a question asks for the colour of one of them.
    """

    def __init__(self, *, skill=0.5, judge_skill=0.8, bad_json=0.1, guess=0.1, frozen=None, seed=0):
        self.skill = skill
        self.judge_skill = judge_skill
        self.bad_json = bad_json
        self.guess = guess
        self.frozen_sampler = frozen
        self.seed = seed
        self.calls = []
        self.order = list

    def __call__(self, requests):
        self.calls.append(list(requests))
        found = {}
        for request in self.order(requests):
            assert request.key not in found
            found[request.key] = [self.complete(request, i) for i in range(request.num_samples)]
        return [found[request.key] for request in requests]

    def frozen(self, requests):
        return None if self.frozen_sampler is None else self.frozen_sampler(requests)

    def count_tokens(self, text):
        return len(text.split())

    def complete(self, request, number):
        rng = random.Random(derive_seed(self.seed, request.key, number))
        prompt = request.prompt if isinstance(request.prompt, str) else request.prompt[0]["content"]
        text = getattr(self, request.role)(prompt, rng)
        return Answered(completion=text, num_tokens=len(text) + 1, truncated=False)

    def questioner(self, prompt, rng):
        if rng.random() < self.bad_json:
            return "I would rather not."
        facts = [line for line in prompt.splitlines() if line.startswith("The colour of thing")]
        words = rng.choice(facts).rstrip(".").split()
        question = f"Which colour does thing {words[4]} have, asked in way {rng.randrange(10**6)}?"
        if '"options"' in prompt:
            options = dict(zip("ABCD", COLOURS, strict=True))
            letter = "ABCD"[COLOURS.index(words[-1])]
            return json.dumps({"question": question, "options": options, "answer": letter})
        return "Step 1. " + json.dumps({"question": question, "answer": words[-1]})

    def _answer(self, prompt, rng, skill):
        right = rng.choice(COLOURS)
        thing = next(
            (word for line in prompt.splitlines() if "Which colour does thing" in line
             for word in line.split("does thing ")[1].split()[:1]),
            None,
        )  # fmt: skip
        for line in prompt.splitlines():
            if line.startswith(f"The colour of thing {thing} is") and rng.random() < skill:
                right = line.rstrip(".").split()[-1]
        for line in prompt.splitlines():  # the letter of that colour
            if line[1:] == f". {right}":
                right = line[0]
        return f"Therefore, the answer is {right}."

    def grounding(self, prompt, rng):
        assert "The colour of thing" not in prompt
        if rng.random() < self.guess:
            return self._answer(prompt, rng, 0.0)
        return "I do not know."

    def responder(self, prompt, rng):
        return self._answer(prompt, rng, self.skill)

    def reanswer(self, prompt, rng):
        return self._answer(prompt, rng, self.skill)

    def verifier(self, prompt, rng):
        pairs = [
            line.split(": ", 1)[1]
            for line in prompt.splitlines()
            if line.startswith(("Answer 1", "Answer 2", "Choice 1", "Choice 2"))
        ]
        same = pairs[0] == pairs[1]
        if rng.random() > self.judge_skill:
            same = not same
        return rng.choices(["[YES]" if same else "[NO]", "Hm."], [0.95, 0.05])[0]

    canary = verifier


@pytest.fixture
def scripted_sampler():
    return ScriptedSampler


@pytest.fixture
def make_topics():
    """Topics of one-line documents; thing n has a colour that follows from n."""

    def make(num_topics=3, num_documents=8, name="c"):
        topics = []
        for c in range(num_topics):
            things = range(c * num_documents, (c + 1) * num_documents)
            documents = [
                Document(id=f"{name}{n}", text=f"The colour of thing {n} is {COLOURS[n % 4]}.")
                for n in things
            ]
            topics.append(Topic(key=f"{name}-{c}", documents=tuple(documents)))
        return topics

    return make
