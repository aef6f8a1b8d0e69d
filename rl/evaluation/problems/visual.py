"""Benchmarks whose questions have pictures: SPINE's three, and MathVista.

Pictures stand in the rows of the copies that are named here. Of the authors' own files, which name
pictures by path, `NAME=FILE` reads the file where its pictures lie beside it.
"""

from rl.evaluation.problems.benchmark_spec import BenchmarkSpec

VISUAL: dict[str, BenchmarkSpec] = {
    "mathvision": BenchmarkSpec(
        hub_id="MathLLMs/MathVision",
        prompt_column="question",
        id_column="id",
        options_columns=("options",),
        label_is="letter",
        strata_columns=("level", "subject"),
        image_columns=("decoded_image",),
        size=3040,
        kind="choice_or_maths",
        template="mathvision",
        note="of SPINE; --split testmini has 304",
    ),
    "slake": BenchmarkSpec(
        hub_id="mdwiratathya/SLAKE-vqa-english",
        prompt_column="question",
        id_column="qid",
        image_columns=("image", "img_name"),
        strata_columns=("answer_type",),
        kept_rows=(("q_lang", "en"),),
        revision="8d18b4d5a4eae47101c1d9f57b99fc58df66f17e",
        size=1061,
        kind="short_answer",
        template="short-boxed",
        note="of SPINE; the English questions. BoKelvin/SLAKE's own test.json: put it into imgs/",
    ),
    "medxpertqa_mm": BenchmarkSpec(
        hub_id="ChuGyouk/MedXpertQA",
        config_name="MM",
        prompt_column="question",
        label_column="label",
        id_column="id",
        options_columns=("options",),
        label_is="letter",
        question_ends_at="Answer Choices:",
        strata_columns=("question_type",),
        image_columns=("images",),
        revision="7186bd593752a47d6bd72ccf99ca67df69be18bd",
        size=2000,
        kind="choice",
        template="choice-letter",
        note="of SPINE; five options, up to several pictures; a copy of TsinghuaC3I/MedXpertQA, "
        "whose MM/test.jsonl names pictures of its images.zip",
    ),
    "mathvista": BenchmarkSpec(
        hub_id="AI4Math/MathVista",
        split="testmini",
        prompt_column="question",
        id_column="pid",
        options_columns=("choices",),
        label_is="text",
        strata_columns=("question_type", "answer_type"),
        image_columns=("decoded_image",),
        size=1000,
        kind="choice_or_maths",
        template="mathvision",
        note="published numbers find answers with a language model, here without",
    ),
}
