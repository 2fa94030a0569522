import pytest

from app.judges.families import propose_family, short_name


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("gpt-5.2-mini", "openai"),
        ("openai/gpt-oss-20b", "openai"),
        ("o3-mini", "openai"),
        ("claude-sonnet-4-5", "anthropic"),
        ("models/gemini-2.5-pro", "google"),
        ("gemma3:4b", "google"),
        ("meta-llama/Llama-3.2-1B-Instruct", "llama"),
        ("tinyllama:1.1b", "llama"),
        ("codellama-7b", "llama"),
        ("nous-hermes-2-mixtral-8x7b", "mistral"),
        ("qwen2.5:0.5b-instruct", "qwen"),
        ("codeqwen1.5", "qwen"),
        ("deepseek-r1-distill-qwen-7b", "deepseek"),
        ("phi4-mini", "phi"),
        ("/data/models/SmolLM2-135M-Instruct.Q8_0.gguf", "smollm"),
        ("falcon-7b", "falcon"),
        ("CohereForAI/c4ai-command-r", "cohere"),
        ("mistralai/Ministral-8B", "mistral"),
        ("yi:34b", "yi"),
        ("ibm/granite-3.1", "granite"),
    ],
)
def test_well_known_names_tell_their_family(model, family):
    assert propose_family(model) == (family, True)


@pytest.mark.parametrize(
    "model", ["house-model", "sophia-2", "foo1", "delphi", "my-yield-model", "supernova2x"]
)
def test_a_name_that_says_nothing_is_a_family_of_its_own(model):
    assert propose_family(model) == (model, False)


def test_an_owner_counts_only_if_the_model_says_nothing():
    assert propose_family("mistralai/unnamed-model") == ("mistral", True)
    assert propose_family("qwen-fans/llama-3") == ("llama", True)


def test_names_for_judges_leave_out_folders_and_endings():
    assert short_name("/models/SmolLM2-135M.Q8_0.gguf") == "smollm2-135m.q8_0"
    assert short_name("qwen2.5:0.5b") == "qwen2.5-0.5b"
    assert short_name("") == "model"
