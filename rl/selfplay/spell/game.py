"""SPELL: one policy asks questions about documents, answers them and judges the answers.

A round (`Spell.play`):

1. A questioner sees some documents of a topic, and what it asked there before, and writes a
   question with a reference answer (`rl.selfplay.spell.memory`, `rl.selfplay.proposals`).
2. A question that is answered without the documents is dropped (`rl.selfplay.spell.filters`).
3. A responder answers it G times over all documents of the topic that fit.
4. A rule checks each answer, a verifier judges it several times; max(rule, vote) is its reward.
5. Questions that some answers solve and some do not are kept; 1 to 4 go on until there are N.
6. Roles are balanced and get their own advantages (`rl.selfplay.spell.selection`).
7. Solvable questions are remembered; canaries are looked at (`rl.selfplay.spell.canaries`).

Source: SPELL: Self-Play Reinforcement Learning for Evolving Long-Context Language Models, arXiv
    2509.23863, algorithm 1. Reference code: Tongyi-Zhiwen/Qwen-Doc, folder SPELL.
Differs: where paper and code disagree the paper is followed (memory takes questions with
    0 < success < 1 only, each with the documents drawn for it; ties of judgments are NO), documents
    are chosen to fit instead of dropping prompts that are too long, a round that does not reach N
    trains what it has, and
    memory, position and canaries are in checkpoints. See also the modules named above.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from rl.errors import InputError
from rl.rollouts.engine import derive_seed
from rl.selfplay.documents import Topic
from rl.selfplay.game import CountTokens, Episode, RequestSampler, Round, make_episode
from rl.selfplay.role_prompts import Templates
from rl.selfplay.spell.batch import BatchPlayer
from rl.selfplay.spell.canaries import Canaries
from rl.selfplay.spell.memory import Memory, MemoryItem
from rl.selfplay.spell.metrics import spell_metrics, task_metrics
from rl.selfplay.spell.preview import (
    check_prompt_length,
    describe_documents,
    describe_shared_prefix,
)
from rl.selfplay.spell.question import (
    INFORMATIVE,
    JudgmentReward,
    Question,
    QuestionReward,
    Visit,
)
from rl.selfplay.spell.selection import make_episodes, select
from rl.selfplay.spell.settings import SpellSettings
from rl.selfplay.tasks.task import Task, normalize_text


class Spell:
    """The game, as `rl.selfplay.game.Game` says.

    Args:
        tasks: What is asked; their names differ.
        topics: Task name -> topics of documents to ask about.
        sources: Task name -> where they come from, for the report at the start.
        question_reward: The questioner's reward.
        judgment_reward: The verifier's and the responder's.
        settings: See `SpellSettings`.
        templates: Task name -> prompts; None: those that come with the project.
        seed: The run's.

    Raises:
        InputError: If there is no task, or a task without a topic.
    """

    def __init__(
        self,
        *,
        tasks: Sequence[Task],
        topics: Mapping[str, Sequence[Topic]],
        sources: Mapping[str, str] | None = None,
        question_reward: QuestionReward,
        judgment_reward: JudgmentReward,
        settings: SpellSettings | None = None,
        templates: Mapping[str, Templates] | None = None,
        seed: int = 0,
    ) -> None:
        names = [task.name for task in tasks]
        missing = [name for name in names if not topics.get(name)]
        if not names or len(set(names)) < len(names) or missing:
            raise InputError(
                f"selfplay tasks: got {', '.join(names) or 'none'}, expected at least one, each "
                "once and with documents. Correct tasks and documents."
            )
        self.tasks = list(tasks)
        self.topics = {name: list(topics[name]) for name in names}
        self.sources = dict(sources or {})
        self.settings = settings or SpellSettings()
        self.seed = seed
        self.roles = self.settings.trained_roles
        self.max_trained = self.settings.max_trained
        self.num_visits = dict.fromkeys(names, 0)
        self.canaries = Canaries(settings=self.settings.canaries)
        self.memory = Memory(
            max_items=self.settings.memory_items,
            num_new_documents=self.settings.num_new_documents,
            reset_success_rate=self.settings.reset_success_rate,
        )
        self.player = BatchPlayer(
            settings=self.settings,
            templates=templates or {name: Templates(name) for name in names},
            memory=self.memory,
            question_reward=question_reward,
            judgment_reward=judgment_reward,
            seed=seed,
        )

    def preview(self, count_tokens: CountTokens, max_prompt_tokens: int | None) -> dict[str, str]:
        """Check and describe what is played on, as `rl.selfplay.game.Game` says."""
        check_prompt_length(self.settings.max_prompt_tokens, max_prompt_tokens)
        report = {}
        for task in self.tasks:
            if task.name in self.sources:
                report[f"{task.name}: source"] = self.sources[task.name]
            report[f"{task.name}: shown"] = describe_documents(
                task, self.topics[task.name], self.player, count_tokens
            )
            report[f"{task.name}: shared"] = describe_shared_prefix(
                task, self.topics[task.name], self.player, count_tokens
            )
        return report

    def play(self, sample: RequestSampler, step: int) -> Round:
        """Play one round: ask until N questions are informative, then choose what is trained."""
        questions: list[Question] = []
        num_batches = num_informative = 0
        while num_informative < self.settings.num_questions:
            if num_batches == self.settings.max_batches:
                break
            batch = self.player.play(self._next_visits(), sample, step)
            self._remember(batch)
            questions += batch
            num_batches += 1
            num_informative = sum(question.outcome == INFORMATIVE for question in questions)
        selection = select(questions, self.settings, self.player.rng(step, "selection"))
        episodes = make_episodes(questions, selection, self.settings, self.player.judgment_reward)
        checked = [questions[i] for i in selection.positives]
        canary_metrics, alarms, canary_episodes = self._check_canaries(
            questions, checked[: self.settings.canaries.num_questions], sample
        )
        if not selection.positives:
            alarms.append(
                f"no question of {len(questions)} was informative, so nothing is trained; see the "
                "funnel/ and rejected/ metrics"
            )
        metrics = {
            **spell_metrics(questions, selection, episodes),
            **task_metrics(questions, [task.name for task in self.tasks]),
            "batches": float(num_batches),
            "memory_items": float(sum(map(len, self.memory.items.values()))),
            **{f"canary/{name}": value for name, value in canary_metrics.items()},
        }
        return Round(episodes=[*episodes, *canary_episodes], metrics=metrics, alarms=alarms)

    def state_dict(self) -> dict[str, Any]:
        """Memory, position in the topics, and what the canaries compare with."""
        return {
            "num_visits": dict(self.num_visits),
            "memory": self.memory.state_dict(),
            "canaries": self.canaries.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state.

        Raises:
            InputError: If it is a state of other tasks or documents.
        """
        if list(state["num_visits"]) != list(self.num_visits):
            raise InputError(
                f"selfplay tasks: got {', '.join(self.num_visits)}, expected those of the run that "
                f"is resumed, {', '.join(state['num_visits'])}. Name the same tasks."
            )
        self.num_visits.update(state["num_visits"])
        self.memory.load_state_dict(state["memory"], self.topics)
        self.canaries.load_state_dict(state["canaries"])

    def _next_visits(self) -> list[Visit]:
        """Take turns over tasks; each goes through its topics in a new order every time."""
        visits = []
        for number in range(self.settings.proposals_per_batch):
            task = self.tasks[number % len(self.tasks)]
            topics = self.topics[task.name]
            epoch, place = divmod(self.num_visits[task.name], len(topics))
            order = list(range(len(topics)))
            Random(derive_seed("clusters", self.seed, task.name, epoch)).shuffle(order)
            topic = topics[order[place]]
            visits.append(Visit(task=task, topic=topic, number=self.num_visits[task.name]))
            self.num_visits[task.name] += 1
        return visits

    def _remember(self, questions: Sequence[Question]) -> None:
        """Push the questions that are solved sometimes."""
        for question in questions:
            if question.outcome == INFORMATIVE:
                assert question.proposal is not None
                context = question.context
                keeps_all = self.settings.memory_documents == "shown"
                documents = context.documents if keeps_all else context.new_documents
                item = MemoryItem(
                    documents=tuple(document.id for document in documents),
                    question=question.task.show_question(question.proposal),
                    answer=question.reference,
                    success_rate=question.success_rate,
                )
                self.memory.push(question.task.name, question.topic, item)

    def _check_canaries(
        self, questions: Sequence[Question], checked: Sequence[Question], sample: RequestSampler
    ) -> tuple[dict[str, float], list[str], list[Episode]]:
        reanswers, episodes = self._answer_again(checked, sample)
        pairs, judged = self._judge_frozen(checked, sample)
        metrics, alarms = self.canaries.check(
            questions=[q.proposal.question for q in questions if q.proposal is not None],
            verdicts=[
                verdict
                for question in questions
                for answer in question.answers
                for verdict in answer.verdicts
                if verdict is not None
            ],
            frozen_pairs=pairs,
            reanswers=reanswers,
            wrong_answers=[
                [
                    normalize_text(answer.prediction)
                    for answer in question.answers
                    if not answer.reward and answer.prediction is not None
                ]
                for question in checked
            ],
        )
        return metrics, alarms, [*episodes, *judged]

    def _answer_again(
        self, questions: Sequence[Question], sample: RequestSampler
    ) -> tuple[list[bool], list[Episode]]:
        """Answer over the questioner's documents alone; say where the reference was found again."""
        requests = [
            self.player.responder_request(q, "reanswer", q.context.documents, 1) for q in questions
        ]
        found, episodes = [], []
        for question, request, completions in zip(
            questions, requests, self.player.ask(requests, sample), strict=True
        ):
            answers = [self.player.read_answer(question, answered) for answered in completions]
            found.append(any(answer.rule for answer in answers))
            episodes += [
                make_episode(request, number, answer.answered, answer=answer.prediction)
                for number, answer in enumerate(answers)
            ]
        return found, episodes

    def _judge_frozen(
        self, questions: Sequence[Question], sample: RequestSampler
    ) -> tuple[list[tuple[int, int]], list[Episode]]:
        """Let the frozen policy judge the first judged answer of each question."""
        judged, requests = [], []
        for question in questions:
            numbers = [i for i, a in enumerate(question.answers) if a.verdict is not None]
            if numbers:
                judged.append(question.answers[numbers[0]].verdict)
                requests.append(
                    self.player.verifier_request(
                        question, numbers[0], "canary", self.settings.num_judgments
                    )
                )
        completions = sample.frozen(requests) if requests else None
        pairs, episodes = [], []
        for live, request, judgments in zip(judged, requests, completions or [], strict=False):
            verdicts = [self.player.read_verdict(judgment) for judgment in judgments]
            frozen = self.player.judgment_reward.majority(verdicts)
            if frozen is not None:
                pairs.append((live, frozen))
            episodes += [
                make_episode(request, number, answered) for number, answered in enumerate(judgments)
            ]
        return pairs, episodes
