r"""Named prompt templates: how a benchmark's problem is put to a model.

The wordings are those that published results were measured with, so they are quoted as they are.
A template that is a chat makes messages, rendered by the model's own chat template; any other makes
plain text, which a base model continues.
"""

import re
from dataclasses import dataclass

from rl.data.prompts import Prompt
from rl.errors import InputError, unknown_name

_SLOT = re.compile(r"\{(problem|letters|documents)\}")
_BOXED = r"Please reason step by step, and put your final answer within \boxed{}."


@dataclass(frozen=True, kw_only=True)
class PromptTemplate:
    """A way to put a problem.

    Attributes:
        text: The user message, or the plain text; `{problem}` stands for the problem, `{letters}`
            for the letters of a multiple choice, `{documents}` for what a question is about.
        system: System message, None for none.
        is_chat: Whether it makes chat messages.
        source: Whose wording it is.
        for_choices: Whether it asks for a letter.
    """

    text: str
    system: str | None = None
    is_chat: bool = True
    source: str
    for_choices: bool = False

    @property
    def for_documents(self) -> bool:
        """Whether it has a place for documents; in any other they stand before the problem."""
        return "{documents}" in self.text

    def apply(
        self, problem: str, letters: str | None = None, documents: str | None = None
    ) -> Prompt:
        """Put a problem; `letters` are those of its choices."""
        if documents is not None and not self.for_documents:
            problem = with_documents(problem, documents)
        values = {"problem": problem, "letters": letters or "", "documents": documents or ""}
        text = _SLOT.sub(lambda slot: values[slot[1]], self.text)
        if not self.is_chat:
            return text
        messages = [{"role": "user", "content": text}]
        return [{"role": "system", "content": self.system}, *messages] if self.system else messages


TEMPLATES: dict[str, PromptTemplate] = {
    "plain": PromptTemplate(text="{problem}", is_chat=False, source="the problem alone, as text"),
    "chat": PromptTemplate(text="{problem}", source="the problem alone, as a user message"),
    "qwen25-math-cot": PromptTemplate(
        text="{problem}", system=_BOXED, source="Qwen2.5-Math, qwen25-math-cot"
    ),
    "qwen-boxed": PromptTemplate(text="{problem}\n" + _BOXED, source="Qwen3 model cards"),
    "boxed-text": PromptTemplate(
        text="{problem}\n" + _BOXED, is_chat=False, source="the same, as text for a base model"
    ),
    "matharena": PromptTemplate(
        text="Put your final answer within \\boxed{}.\n\n{problem}", source="MathArena"
    ),
    "matharena-aime": PromptTemplate(
        text="Put your final answer within \\boxed{}.\n"
        "The answer is an integer between 0 and 999 inclusive.\n\n{problem}",
        source="MathArena, AIME",
    ),
    "simple-evals": PromptTemplate(
        text="Solve the following math problem step by step. The last line of your response should "
        "be of the form Answer: $ANSWER (without quotes) where $ANSWER is the answer to the "
        "problem.\n\n{problem}\n\nRemember to put your answer on its own line after "
        '"Answer:", and you do not need to use a \\boxed command.',
        source="simple-evals, MATH",
    ),
    "r1-zero": PromptTemplate(
        text="A conversation between User and Assistant. The user asks a question, and the "
        "Assistant solves it. The assistant first thinks about the reasoning process in the mind "
        "and then provides the user with the answer.\nUser: {problem}\n" + _BOXED + "\n"
        "Assistant: <think>",
        is_chat=False,
        source="after DeepSeek-R1-Zero; the thought is opened, so an answer needs </think>",
    ),
    "choice-letter": PromptTemplate(
        text="Answer the following multiple choice question. The last line of your response should "
        "be of the following format: 'Answer: $LETTER' (without quotes) where LETTER is one of "
        "{letters}. Think step by step before answering.\n\n{problem}",
        source="simple-evals, GPQA",
        for_choices=True,
    ),
    "choice-boxed": PromptTemplate(
        text="{problem}\nPlease reason step by step, and put the letter of the right option within "
        "\\boxed{}.",
        source="the same for models trained on boxes",
        for_choices=True,
    ),
    "mathvision": PromptTemplate(
        text='Please solve the problem step by step and put your answer in one "\\boxed{}". If it '
        'is a multiple choice question, only one letter is allowed in the "\\boxed{}".\n{problem}',
        source="MATH-Vision's own scripts",
    ),
    "short-boxed": PromptTemplate(
        text="{problem}\nPlease reason step by step, and put your final answer, a word or a few "
        "words, within \\boxed{}.",
        source="ours, for answers in words",
    ),
    "abstract-word": PromptTemplate(
        text="Read the abstract of a study and answer the question with yes, no or maybe.\n\n"
        "{documents}\n\nQuestion: {problem}\n\nPlease reason step by step, and put your final "
        "answer, one of these three words, within \\boxed{}.",
        source="ours, for PubMedQA",
    ),
    "longbench-v2": PromptTemplate(
        text="Please read the following text and answer the question below.\n\n<text>\n"
        "{documents}\n</text>\n\nWhat is the correct answer to this question: {problem}\n\n"
        'Format your response as follows: "The correct answer is (insert answer here)".',
        source="LongBench v2, zero-shot",
        for_choices=True,
    ),
    "spell-question": PromptTemplate(
        text="Please read the following text and answer the question below. \n\n<text>\n"
        "{documents}\n</text>\n\nQuestion: {problem}\n\nFormat your answer as follows: "
        '"The correct answer is (insert answer here)."\n',
        source="SPELL's evaluation, general questions",
    ),
    "spell-number": PromptTemplate(
        text="You are an expert in document analysis and numeric reasoning, you are supposed to "
        "answer the given question based on the provided context. You need to first think through "
        "the problem step by step, documenting each necessary step. Then you are required to "
        'conclude your response with the final answer in your last sentence as "Therefore, the '
        'answer is (insert answer here)". The final answer should be a numeric value.\n\n<text>\n'
        "{documents}\n</text>\n\nQuestion: {problem}\n\nPlease reason step by step, and format "
        'your answer as follows: "Therefore, the answer is (insert answer here)."\n',
        source="SPELL's evaluation, DocMath",
    ),
}


def with_documents(problem: str, documents: str) -> str:
    """Put documents before a problem, an empty line between them."""
    return f"{documents}\n\n{problem}"


def find_template(name: str) -> PromptTemplate:
    """Look a template up.

    Raises:
        InputError: If there is none of that name.
    """
    if name not in TEMPLATES:
        raise unknown_name("--template", name, list(TEMPLATES))
    return TEMPLATES[name]


def apply_template(
    name: str, prompt: Prompt, letters: str | None, where: str, documents: str | None = None
) -> Prompt:
    """Put a problem that a source gives as text.

    Raises:
        InputError: If the template is unknown, or the source gives messages, which have a form of
            their own.
    """
    template = find_template(name)
    if isinstance(prompt, str):
        return template.apply(prompt, letters, documents)
    if name in ("plain", "chat"):
        return prompt
    raise InputError(
        f"--template: got {name!r} for {where}, which holds chat messages, expected a problem as "
        "text. Leave the template out."
    )
