"""Benchmarks whose questions have pictures: SPINE's three, MathVista, MMMU and MMMU-Pro.

Pictures stand in the rows of the copies that are named here. Of the authors' own files, which name
pictures by path, `NAME=FILE` reads the file where its pictures lie beside it.

MMMU (2311.16502): MMMU/MMMU has a configuration for each of 30 subjects (the names are in
MMMU-Benchmark/MMMU at 0b043a8, eval/data_utils.py), splits dev (150), validation (900) and test
(10500, whose answers are not published), columns id, question, options (a list written as text,
empty where the answer is open), answer, question_type, topic_difficulty, subfield and image_1 to
image_7, which `<image 1>` and so on in question and options name. lmms-lab/MMMU has all subjects
in one configuration, as its card says. MMMU-Pro (2409.02813): MMMU/MMMU_Pro, "standard (10
options)", split test, 1730 questions with the same columns and `subject`. Graded differently: the
authors take a random letter where they find none, and an open answer that contains the right one
for right; here the first is wrong and the second is compared as maths answers are. The hub was not
asked.
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
    "mmmu": BenchmarkSpec(
        hub_id="lmms-lab/MMMU",
        split="validation",
        prompt_column="question",
        id_column="id",
        options_columns=("options",),
        label_is="letter",
        strata_columns=("topic_difficulty", "question_type"),
        strata_of_id=r"[a-z]+_(?P<subject>\w+)_\d+",  # validation_Accounting_1
        numbered_images="image_{}",
        lists_are_text=True,
        revision="5f93af86377c18552077e1ffdb193d9f8d2b1343",
        size=900,
        kind="choice_or_maths",
        template="mathvision",
        note="up to seven pictures, in options too; a copy of MMMU/MMMU, all subjects in one; "
        "mmmu=MMMU/MMMU with --config_name Art is one of them",
    ),
    "mmmu_pro": BenchmarkSpec(
        hub_id="MMMU/MMMU_Pro",
        config_name="standard (10 options)",
        prompt_column="question",
        id_column="id",
        options_columns=("options",),
        label_is="letter",
        strata_columns=("subject", "topic_difficulty"),
        numbered_images="image_{}",
        lists_are_text=True,
        size=1730,
        kind="choice",
        template="choice-letter",
        note="standard, with up to 10 options; not the one whose questions are pictures",
    ),
}
