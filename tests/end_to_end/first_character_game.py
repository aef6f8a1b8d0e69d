"""A game of two roles whose rewards hang on first characters; it counts its rounds."""

from rl.selfplay.game import Request, Round, make_episode


def build(seed, num_askers=4, num_empty_rounds=0):
    return FirstCharacterGame(seed, num_askers, num_empty_rounds)


class FirstCharacterGame:
    roles = ("asker", "answerer")

    def __init__(self, seed, num_askers, num_empty_rounds):
        self.seed = seed
        self.num_empty_rounds = num_empty_rounds
        self.num_askers = num_askers
        self.max_trained = num_askers * 7
        self.num_rounds = 0

    def play(self, sample, step):
        self.num_rounds += 1
        if self.num_rounds <= self.num_empty_rounds:
            return Round(episodes=[], metrics={"num_rounds": float(self.num_rounds)})
        asked = [
            Request(key=f"ask {i}", role="asker", prompt=f"{i}+", num_samples=1)
            for i in range(self.num_askers)
        ]
        questions = sample(asked)
        answering = [
            Request(
                key=f"answer {i}",
                role="answerer",
                prompt=f"{i}+{question.completion[:2]}=",
                num_samples=6,
            )
            for i, [question] in enumerate(questions)
        ]
        answers = sample(answering)
        frozen = sample.frozen(answering[:1])
        episodes = [
            *self._score(asked, questions),
            *self._score(answering, answers),
        ]
        return Round(
            episodes=episodes,
            metrics={
                "num_rounds": float(self.num_rounds),
                "frozen": float(frozen is not None),
                "tokens": float(sample.count_tokens("1+1")),
            },
            alarms=["the third round"] if self.num_rounds == 3 else [],
        )

    def _score(self, requests, answered):
        rewards = [[float(a.completion[:1] > "4") for a in group] for group in answered]
        mean = sum(map(sum, rewards)) / sum(map(len, rewards))
        return [
            make_episode(request, i, a, reward=reward, advantage=reward - mean)
            for request, group, values in zip(requests, answered, rewards, strict=True)
            for i, (a, reward) in enumerate(zip(group, values, strict=True))
        ]

    def state_dict(self):
        return {"num_rounds": self.num_rounds}

    def load_state_dict(self, state):
        self.num_rounds = state["num_rounds"]
