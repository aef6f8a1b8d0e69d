"""Prompts of the roles: plain text files with slots such as {{question}}.

    prompts/document.txt          one document: {{number}}, {{text}}
    prompts/example.txt           one remembered question: {{number}}, {{question}}, {{answer}}
    prompts/no_documents.txt      what stands in place of the documents in the grounding check
    prompts/<task>/questioner.txt               {{documents}}, and the task's own slots
    prompts/<task>/questioner_with_memory.txt   {{documents}}, {{examples}}, the task's own slots
    prompts/<task>/responder.txt                {{documents}}, {{question}}
    prompts/<task>/verifier.txt                 {{question}}, {{prediction}}, {{reference}}
    prompts/r_zero/challenger.txt               no slot
    prompts/r_zero/solver.txt                   {{question}}

Prompts that show documents begin with them, alike for all roles and tasks, so that what they show
alike is computed once: by vLLM's prefix cache, and in the update. (A verifier sees none, as in the
paper.)

A folder of one's own may hold any of them; what it lacks is taken from here. The three shared files
may also stand in a task's folder, for that task alone. Everything else in a file is taken as it is,
and what fills a slot is never searched for slots. A file's last line break is dropped.
"""

from collections.abc import Mapping
from functools import cached_property
from importlib import resources
from pathlib import Path

from rl.data.slots import fill_slots, slots_of
from rl.errors import InputError

SHARED = ("document", "example", "no_documents")
SLOTS = {
    "document": {"number", "text"},
    "example": {"number", "question", "answer"},
    "no_documents": set(),
    "questioner": {"documents"},
    "questioner_with_memory": {"documents", "examples"},
    "responder": {"documents", "question"},
    "verifier": {"question", "prediction", "reference"},
}
R_ZERO_SLOTS: dict[str, set[str]] = {"challenger": set(), "solver": {"question"}}


class Templates:
    """The prompt files of one task.

    Args:
        task: Its name, which is its folder.
        folder: A folder of one's own, or None.
        slots: Name of each file -> slots it must have.

    Raises:
        InputError: If the folder does not exist, a file is missing, cannot be read, or lacks a slot
            it must have.
    """

    def __init__(
        self,
        task: str,
        folder: str | Path | None = None,
        slots: Mapping[str, set[str]] = SLOTS,
    ) -> None:
        self.task = task
        self.slots = slots
        self.folder = Path(folder).expanduser() if folder is not None else None
        if self.folder is not None and not self.folder.is_dir():
            raise InputError(
                f"selfplay prompts: got {folder}, expected a folder. Check the path, or leave it "
                "out to use the prompts that come with the project."
            )
        assert self.texts

    @cached_property
    def texts(self) -> dict[str, str]:
        """Name of the file, without its suffix -> its text."""
        texts = {name: self._read(name) for name in self.slots}
        for name, needed in self.slots.items():
            missing = sorted(needed - slots_of(texts[name]) - {"number"})
            if missing:
                raise InputError(
                    f"selfplay prompt {self.task}/{name}.txt: got no slot {{{{{missing[0]}}}}}, "
                    f"expected {', '.join(sorted(needed))}. Add it to the file."
                )
        return texts

    def _read(self, name: str) -> str:
        packaged = resources.files("rl.selfplay") / "prompts"
        places = [root for root in (self.folder, packaged) if root is not None]
        candidates = [root / self.task / f"{name}.txt" for root in places]
        if name in SHARED:  # one's own shared file stands before the project's for the task
            candidates = [
                place
                for root in places
                for place in (root / self.task / f"{name}.txt", root / f"{name}.txt")
            ]
        for place in candidates:
            if place.is_file():
                try:
                    return place.read_text(encoding="utf-8").removesuffix("\n")
                except UnicodeDecodeError as error:
                    raise InputError(
                        f"selfplay prompt {place}: got {error}, expected UTF-8 text. Save it so."
                    ) from error
        raise InputError(
            f"selfplay prompt: got no {self.task}/{name}.txt, expected one in the folder of "
            "prompts. Add it."
        )

    def fill(self, name: str, slots: Mapping[str, str]) -> str:
        """Fill the slots of a file, all in one pass.

        Raises:
            InputError: If the file has a slot that is not filled.
        """
        return fill_slots(self.texts[name], slots, f"selfplay prompt {self.task}/{name}.txt")

    def documents(self, texts: list[str]) -> str:
        """Show documents one after the other, numbered from 1."""
        shown = [
            self.fill("document", {"number": str(number), "text": text})
            for number, text in enumerate(texts, start=1)
        ]
        return "\n".join(shown)

    def examples(self, pairs: list[tuple[str, str]]) -> str:
        """Show remembered questions with their answers, numbered from 1."""
        shown = [
            self.fill("example", {"number": str(number), "question": question, "answer": answer})
            for number, (question, answer) in enumerate(pairs, start=1)
        ]
        return "\n".join(shown)
