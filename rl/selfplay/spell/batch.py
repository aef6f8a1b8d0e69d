"""One generation batch of SPELL: questions proposed, checked, answered and judged."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from rl.rollouts.engine import derive_seed
from rl.selfplay.documents import Document, Topic
from rl.selfplay.game import Answered, CountTokens, Prompt, Request, RequestSampler, as_prompt
from rl.selfplay.proposals import (
    TOO_LONG,
    UNFINISHED,
    Proposal,
    Rejected,
    is_unfinished_thought,
)
from rl.selfplay.role_prompts import Templates
from rl.selfplay.spell.filters import has_variance, min_correct_guesses
from rl.selfplay.spell.memory import Context, Memory, MemoryItem, fill_up
from rl.selfplay.spell.question import (
    INFORMATIVE,
    NOT_GROUNDED,
    ZERO_VARIANCE,
    Answer,
    JudgmentReward,
    Question,
    QuestionReward,
    Visit,
)
from rl.selfplay.spell.settings import SpellSettings
from rl.selfplay.tasks.task import Task

# A chat template adds a few tokens around the message.
_CHAT_TOKENS = 32


@dataclass(frozen=True, kw_only=True)
class BatchPlayer:
    """Plays generation batches.

    Attributes:
        settings: The game's.
        templates: Task name -> its prompts.
        memory: What is remembered; read here, written by the game.
        question_reward: The questioner's reward.
        judgment_reward: The verifier's and the responder's.
        seed: The run's.
    """

    settings: SpellSettings
    templates: Mapping[str, Templates]
    memory: Memory
    question_reward: QuestionReward
    judgment_reward: JudgmentReward
    seed: int
    document_tokens: dict[tuple[str, str], int] = field(default_factory=dict)

    def play(self, visits: Sequence[Visit], sample: RequestSampler, step: int) -> list[Question]:
        """Ask for a question at each visit, and see what comes of it.

        Args:
            visits: Where.
            sample: Gives completions.
            step: Number of the round.

        Returns:
            One question per visit that has a prompt, in order; a topic without a document that
            fits is passed over.
        """
        questions = self._propose(visits, sample, step)
        self._check_grounding([q for q in questions if q.proposal and not q.outcome], sample)
        answered = self._answer([q for q in questions if q.proposal and not q.outcome], sample)
        self._judge(answered, sample)
        for question in answered:
            rewards = [answer.reward for answer in question.answers]
            question.outcome = INFORMATIVE if has_variance(rewards) else ZERO_VARIANCE
            question.reward = self.question_reward(question.success_rate)
        return questions

    def rng(self, *parts: object) -> Random:
        """A generator that depends on the run's seed and the parts alone."""
        return Random(derive_seed("selfplay", self.seed, *parts))

    def as_prompt(self, text: str) -> Prompt:
        """Make a prompt of a text."""
        return as_prompt(text, chat=self.settings.chat)

    def read_text(self, answered: Answered) -> str:
        """The completion as it is to be read."""
        return answered.text(thinking=self.settings.thinking)

    def ask(self, requests: Sequence[Request], sample: RequestSampler) -> list[list[Answered]]:
        """Sample, unless there is nothing to ask for."""
        return sample(requests) if requests else []

    def _ask_questioner(
        self, requests: Sequence[Request], sample: RequestSampler
    ) -> list[list[Answered]]:
        if not self.settings.frozen_questioner:
            return self.ask(requests, sample)
        written = sample.frozen(requests) if requests else []
        if written is None:
            raise ValueError("frozen_questioner: got a sampler without a frozen policy")
        return written

    def count_document(self, task: Task, document: Document, count_tokens: CountTokens) -> int:
        """Tokens of a document as it is shown, with the line break after it."""
        templates = self.templates[task.name]
        key = (templates.texts["document"], document.id)  # tasks may show a document alike
        if key not in self.document_tokens:
            shown = templates.documents([document.text])
            self.document_tokens[key] = count_tokens(shown) + 1
        return self.document_tokens[key]

    def empty_room(self, task: Task, count_tokens: CountTokens) -> int:
        """Tokens there are for documents in a questioner's first prompt."""
        slots = dict(task.questioner_slots(0, self.rng("room", task.name)))
        text = self.templates[task.name].fill("questioner", {**slots, "documents": ""})
        return self._room(text, count_tokens)

    def _room(self, prompt_without_documents: str, count_tokens: CountTokens) -> int:
        used = count_tokens(prompt_without_documents) + _CHAT_TOKENS * self.settings.chat
        return max(0, self.settings.max_prompt_tokens - used)

    def _propose(
        self, visits: Sequence[Visit], sample: RequestSampler, step: int
    ) -> list[Question]:
        prepared = []
        for visit in visits:
            key = f"{visit.task.name}/{visit.topic.key}/{visit.number}"
            rng = self.rng(step, key, "context")
            context, text = self.questioner_prompt(visit, rng, sample.count_tokens)
            if context.documents:
                request = Request(
                    key=f"questioner/{key}",
                    role="questioner",
                    prompt=self.as_prompt(text),
                    num_samples=1,
                )
                prepared.append((visit, context, request, rng))
        completions = self._ask_questioner([request for _, _, request, _ in prepared], sample)
        questions = []
        for (visit, context, request, rng), [answered] in zip(prepared, completions, strict=True):
            question = Question(
                task=visit.task,
                topic=visit.topic,
                context=context,
                request=request,
                answered=answered,
            )
            self._read_proposal(question, rng, sample)
            questions.append(question)
        return questions

    def questioner_prompt(
        self, visit: Visit, rng: Random, count_tokens: CountTokens
    ) -> tuple[Context, str]:
        """Choose what a questioner is shown at a visit, and write its prompt."""
        task, templates = visit.task, self.templates[visit.task.name]
        slots = dict(task.questioner_slots(visit.number, rng))

        def fill(examples: Sequence[MemoryItem], documents: Sequence[Document]) -> str:
            shown = {**slots, "documents": templates.documents([d.text for d in documents])}
            if not examples:
                return templates.fill("questioner", shown)
            pairs = templates.examples([(item.question, item.answer) for item in examples])
            return templates.fill("questioner_with_memory", {**shown, "examples": pairs})

        context = self.memory.context(
            task.name,
            visit.topic,
            rng,
            lambda examples: self._room(fill(examples, []), count_tokens),
            lambda document: self.count_document(task, document, count_tokens),
        )
        return context, fill(context.examples, context.documents)

    def _read_proposal(self, question: Question, rng: Random, sample: RequestSampler) -> None:
        text = self.read_text(question.answered)
        if is_unfinished_thought(text):
            found: Proposal | Rejected = UNFINISHED
        else:
            found = question.task.read_proposal(text, rng, sample.count_tokens)
        if isinstance(found, Rejected):
            question.outcome = found.reason
            question.reward = self.question_reward.bad_format if found.is_penalised else None
        else:
            question.proposal = found

    def responder_documents(
        self,
        task: Task,
        topic: Topic,
        context: Context,
        rng: Random,
        prompt_without_documents: str,
        count_tokens: CountTokens,
    ) -> tuple[Document, ...] | None:
        """Choose what a responder is shown; None if what the questioner saw does not fit."""
        return fill_up(
            context.documents,
            topic,
            rng,
            self._room(prompt_without_documents, count_tokens),
            lambda document: self.count_document(task, document, count_tokens),
        )

    def _responder_text(self, question: Question, documents: str) -> str:
        assert question.proposal is not None
        shown = question.task.show_question(question.proposal)
        templates = self.templates[question.task.name]
        return templates.fill("responder", {"documents": documents, "question": shown})

    def responder_request(
        self,
        question: Question,
        role: str,
        documents: Sequence[Document] | None,
        num_samples: int,
    ) -> Request:
        """Ask for answers to a question over documents; None puts the placeholder there."""
        templates = self.templates[question.task.name]
        shown = (
            templates.fill("no_documents", {})
            if documents is None
            else templates.documents([document.text for document in documents])
        )
        return Request(
            key=f"{role}/{question.request.key}",
            role=role,
            prompt=self.as_prompt(self._responder_text(question, shown)),
            num_samples=num_samples,
        )

    def read_answer(self, question: Question, answered: Answered) -> Answer:
        """Read an answer and check it by the task's rule; no answer is wrong."""
        assert question.proposal is not None
        prediction = question.task.read_answer(self.read_text(answered))
        rule = (
            0.0
            if prediction is None
            else question.task.rule_check(prediction, question.proposal.answer)
        )
        return Answer(answered=answered, prediction=prediction, rule=rule, reward=rule)

    def _check_grounding(self, questions: list[Question], sample: RequestSampler) -> None:
        num_samples = self.settings.grounding_samples
        if not num_samples:
            return
        requests = [self.responder_request(q, "grounding", None, num_samples) for q in questions]
        for question, request, completions in zip(
            questions, requests, self.ask(requests, sample), strict=True
        ):
            question.grounding, question.groundings = request, completions
            correct = sum(self.read_answer(question, answered).rule for answered in completions)
            limit = min_correct_guesses(num_samples, question.task.chance)
            if correct >= limit:
                question.outcome = NOT_GROUNDED
                question.reward = self.question_reward.not_grounded

    def _answer(self, questions: list[Question], sample: RequestSampler) -> list[Question]:
        asked = []
        for question in questions:
            documents = self.responder_documents(
                question.task,
                question.topic,
                question.context,
                self.rng(question.request.key, "distractors"),
                self._responder_text(question, ""),
                sample.count_tokens,
            )
            if documents is None:
                question.outcome = TOO_LONG.reason
                continue
            question.prompt_documents = len(documents)
            question.responses = self.responder_request(
                question, "responder", documents, self.settings.group_size
            )
            asked.append((question, question.responses))
        for (question, _), completions in zip(
            asked, self.ask([request for _, request in asked], sample), strict=True
        ):
            question.answers = [self.read_answer(question, answered) for answered in completions]
        return [question for question, _ in asked]

    def verifier_request(
        self, question: Question, number: int, role: str, num_samples: int
    ) -> Request:
        """Ask for judgments of the number-th answer of a question."""
        prediction = question.answers[number].prediction
        assert question.proposal is not None
        assert prediction is not None
        slots = {
            "question": question.task.show_question(question.proposal),
            "prediction": question.task.show_answer(question.proposal, prediction),
            "reference": question.reference,
        }
        return Request(
            key=f"{role}/{number}/{question.request.key}",
            role=role,
            prompt=self.as_prompt(self.templates[question.task.name].fill("verifier", slots)),
            num_samples=num_samples,
        )

    def read_verdict(self, answered: Answered) -> int | None:
        """Read a judgment; one that ran into the length limit is malformed."""
        if answered.truncated:
            return None
        return self.judgment_reward.read(self.read_text(answered))

    def _judge(self, questions: list[Question], sample: RequestSampler) -> None:
        if not self.settings.use_verifier:
            return
        judged: list[tuple[Request, list[Answer]]] = []
        for question in questions:
            for number, same in self._equal_answers(question):
                request = self.verifier_request(
                    question, number, "verifier", self.settings.num_judgments
                )
                judged.append((request, same))
        completions = self.ask([request for request, _ in judged], sample)
        for (request, same), judgments in zip(judged, completions, strict=True):
            first = same[0]
            first.request = request
            first.judgments = judgments
            first.verdicts = [self.read_verdict(judgment) for judgment in judgments]
            verdict = self.judgment_reward.majority(first.verdicts)
            for answer in same:
                answer.verdict = verdict
                answer.reward = self.judgment_reward.responder_reward(answer.rule, verdict)

    def _equal_answers(self, question: Question) -> list[tuple[int, list[Answer]]]:
        """Answers that share a judgment, with the number of the first of them."""
        found: dict[Hashable, tuple[int, list[Answer]]] = {}
        for number, answer in enumerate(question.answers):
            if answer.prediction is not None:
                key = answer.prediction if self.settings.judge_equal_answers_once else number
                found.setdefault(key, (number, []))[1].append(answer)
        return list(found.values())
