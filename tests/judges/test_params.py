import json

import pytest

from app.domain.problems import BadInput
from app.judges.config import JudgeConfig
from app.judges.params import Abilities, read_params


def config_of(provider: str, **params) -> JudgeConfig:
    return JudgeConfig("j", "f", provider, "m", params=json.dumps(params))


def test_what_is_ours_is_understood_and_the_rest_goes_to_the_provider():
    config = config_of("openai", schema="json_object", top_logprobs=5, temperature=0, seed=7)
    abilities, rest = read_params(config)
    assert abilities == Abilities(schema="json_object", top_logprobs=5)
    assert rest == {"temperature": 0, "seed": 7}


@pytest.mark.parametrize("provider", ["openai", "openai-compatible", "openai-responses", "anthropic"])
def test_without_parameters_a_judge_replies_by_schema_and_without_logprobs(provider):
    assert read_params(config_of(provider)) == (Abilities("json_schema", 0), {})


def test_everything_wrong_is_named_at_once():
    config = config_of(
        "anthropic", schema="json_object", top_logprobs=5, max_output_tokens=0, cache_prompt=1, stream=True
    )
    with pytest.raises(BadInput) as caught:
        read_params(config)
    assert {problem.path: problem.problem for problem in caught.value.problems} == {
        "params.stream": "is set by Venire itself",
        "params.schema": "must be one of json_schema, tool, none",
        "params.top_logprobs": "must be 0: this provider gives no log-probabilities",
        "params.max_output_tokens": "must be a whole number of at least 1",
        "params.cache_prompt": "must be true or false",
    }
