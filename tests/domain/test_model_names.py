import pytest

from app.domain.model_names import names_a_model, source_is_a_model

PEOPLE = [
    "author_consensus",
    "user",
    "crowd",
    "mturk_crowd",
    "trained_annotator",
    "developer",
    "expert",
    "gold",
    "rater_slot_1",
    "synth_a19",
    "real_a22",
    "grader11",
    "annotator_slot_2",
    "Claude Dupont",
    "jean-claude",
    "gemma.jones@example.org",
    "ai_engineer",
    "ML model developer",
    "human_judge",
    "customer support agent",
    "aisha",
    "Maila",
    "robot-free human",
    "bottom-up-crowd",
    "prolific",
    "judgement-crowd",
    "o1",
    "Botond",
]
MODELS = [
    "llm",
    "LLM_ORACLE_not_human",
    "llm_oracle",
    "gpt",
    "gpt-4o",
    "GPT4",
    "gpt_4",
    "chatgpt",
    "ChatGPT",
    "claude",
    "claude-3-opus",
    "annotator_claude",
    "claude judge",
    "Gemini 1.5 Pro",
    "gemini",
    "oracle",
    "model",
    "modelA",
    "AI",
    "ai_annotator",
    "ai_expert",
    "bot",
    "judge",
    "LLMJudge",
    "llm-as-a-judge",
    "synthetic",
    "synthetic_user",
    "simulated_human",
    "automatic",
    "non-human",
    "not_a_person",
    "human_llm",
    "llama-70b",
    "mistral",
    "openai",
    "anthropic",
    "deepseek-r1",
    "qwen2.5",
    "ai_engineer_not_human",
    "machine",
]


@pytest.mark.parametrize("name", PEOPLE)
def test_names_of_people_and_their_kinds_pass(name):
    assert names_a_model(name) is None


@pytest.mark.parametrize("name", MODELS)
def test_names_of_models_are_found(name):
    assert names_a_model(name)


@pytest.mark.parametrize(
    "source",
    [
        "GPT-4 answers rated by crowd workers",
        "chatbot_arena",
        "model comparison study 2024",
        "support tickets",
        "https://github.com/openai/summarize-from-feedback",
        "appen batch 3",
        "Claude Dupont's team",
        "annotation round 2, expert reviewers",
        "bot-v7 support log",
    ],
)
def test_a_source_may_speak_of_models_whose_answers_people_graded(source):
    assert source_is_a_model(source) is None


@pytest.mark.parametrize(
    "source",
    [
        "gpt-4",
        "oracle",
        "judge",
        "GPT-4 labels",
        "our AI",
        "annotated by claude",
        "LLM eval",
        "synthetic users",
        "not human: llm",
        "model scores",
    ],
)
def test_a_source_that_says_a_model_graded_is_found(source):
    assert source_is_a_model(source)
