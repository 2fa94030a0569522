import pytest

from app.judges.config import KEYS, PROVIDERS, JudgeConfig, read_judges, read_judges_file
from app.judges.roster import PROVIDER_FACTORIES

WHOLE = """
[[judges]]
name = "gpt-x"
family = "openai"
provider = "openai"
model = "gpt-x-2026-08-01"
api_key_env = "OPENAI_API_KEY"
params = { temperature = 0, max_output_tokens = 800 }
price_input_per_mtok = 1.25
price_cached_input_per_mtok = 0.125
price_output_per_mtok = 10
requests_per_minute = 500
tokens_per_minute = 200000
max_concurrency = 16
timeout_s = 30

[[judges]]
name = "local"
family = "qwen"
provider = "openai-compatible"
model = "qwen-3"
base_url = "http://localhost:11434/v1/"

[[judges]]
name = "old"
family = "mistral"
provider = "openai-compatible"
model = "mistral-old"
base_url = "https://example.test/v1"
api_key_env = "MISSING"
enabled = false
"""
ENVIRONMENT = {"OPENAI_API_KEY": " sk-secret "}


def problems(text, environment=ENVIRONMENT):
    return {problem.path: problem.problem for problem in read_judges(text, environment).problems}


def judge(**changes):
    """One judge's table with keys changed, added, or (None) left out."""
    table = {
        "name": '"n"',
        "family": '"f"',
        "provider": '"openai"',
        "model": '"m"',
        "api_key_env": '"OPENAI_API_KEY"',
    }
    lines = [f"{key} = {value}" for key, value in {**table, **changes}.items() if value is not None]
    return "\n".join(["[[judges]]", *lines, ""])


def test_a_whole_roster_is_read():
    file = read_judges(WHOLE, ENVIRONMENT)
    assert not file.problems
    first, local, old = file.judges
    assert first == JudgeConfig(
        name="gpt-x",
        family="openai",
        provider="openai",
        model="gpt-x-2026-08-01",
        api_key_env="OPENAI_API_KEY",
        params='{"max_output_tokens":800,"temperature":0}',
        price_input_per_mtok=1.25,
        price_cached_input_per_mtok=0.125,
        price_output_per_mtok=10,
        requests_per_minute=500,
        tokens_per_minute=200_000,
        max_concurrency=16,
        timeout_s=30,
    )
    assert first.api_key == "sk-secret"
    assert local.base_url == "http://localhost:11434/v1"
    assert not old.enabled
    assert "only 2 families" in file.warnings[0]


def test_a_key_is_never_shown():
    assert "sk-secret" not in repr(read_judges(WHOLE, ENVIRONMENT))


def test_the_order_in_which_parameters_are_written_does_not_make_another_judge():
    one, other = (
        read_judges(judge(params=params), ENVIRONMENT).judges[0].version("1")
        for params in ("{ a = 1, b = { c = 2, d = 3 } }", "{ b = { d = 3, c = 2 }, a = 1 }")
    )
    assert one == other
    assert one.digest() == other.digest()


def test_every_mistake_of_a_file_is_reported_at_once():
    text = (
        "roster = 1\n"
        + judge(name='"a"', familly='"x"', family=None)
        + judge(name='"b"', provider='"opnai"', max_concurrency="0", price_input_per_mtok="-1")
        + judge(name='"b"', provider='"openai-compatible"', timeout_s='"long"', enabled='"no"')
        + judge(name='"c"', base_url='"ftp://x"', params='"none"', requests_per_minute="0", model='""')
        + judge(name='"d"', api_key_env='"NOT_SET"')
        + judge(name='"e"', api_key_env=None)
    )
    found = problems(text)
    assert set(found) == {
        "roster",
        "judges[0].familly",
        "judges[0].family",
        "judges[1].provider",
        "judges[1].max_concurrency",
        "judges[1].price_input_per_mtok",
        "judges[2].name",
        "judges[2].base_url",
        "judges[2].timeout_s",
        "judges[2].enabled",
        "judges[3].base_url",
        "judges[3].params",
        "judges[3].requests_per_minute",
        "judges[3].model",
        "judges[4].api_key_env",
        "judges[5].api_key_env",
    }
    assert "did you mean 'family'" in found["judges[0].familly"]
    assert "did you mean 'openai'" in found["judges[1].provider"]
    assert found["judges[1].price_input_per_mtok"] == "must not be negative"
    assert "judges[1] has this name" in found["judges[2].name"]
    assert "NOT_SET is not set" in found["judges[4].api_key_env"]


def test_a_key_that_is_not_set_matters_only_to_judges_that_are_enabled():
    assert problems(judge(api_key_env='"NOT_SET"'), {})
    file = read_judges(judge(api_key_env='"NOT_SET"', enabled="false") + judge(name='"o"'), ENVIRONMENT)
    assert not file.problems


def test_an_empty_variable_is_as_good_as_none():
    assert "judges[0].api_key_env" in problems(judge(), {"OPENAI_API_KEY": "  "})


def test_a_server_of_ones_own_may_ask_for_no_key():
    assert not problems(judge(api_key_env=None, base_url='"http://127.0.0.1:8080/v1"'))


def test_simulated_judges_may_not_stand_beside_others():
    simulated = judge(name='"s"', provider='"simulated"', model=None, api_key_env=None)
    assert "simulated judges may not" in problems(judge() + simulated)["judges"]
    disabled = simulated + "enabled = false\n"
    assert not problems(judge() + disabled)
    alone = read_judges(simulated, {})
    assert not alone.problems
    assert alone.judges[0].model == "s"


def test_two_spellings_of_a_family_are_pointed_out():
    text = judge(name='"a"', family='"OpenAI"') + judge(name='"b"', family='"openai"')
    assert "'OpenAI' elsewhere" in problems(text)["judges[1].family"]


@pytest.mark.parametrize(
    "text, why",
    [
        ("judges = 3", "[[judges]] tables"),
        ("[judges]\nname = 'a'", "[[judges]] tables"),
        ("judges = [1]", "[[judges]] tables"),
        ("[[judges]", "not valid TOML"),
        ("", "no judge is enabled"),
        (judge(params="{ at = 2026-01-01 }"), "may hold texts"),
        (judge(params="{ top_p = nan }"), "may hold texts"),
        (judge(timeout_s="inf"), "must be a number"),
        (judge(max_concurrency="true"), "whole number"),
        (judge(name='"two\\nlines"'), "one line"),
        (judge(base_url='"http://[::1"'), "must be a URL"),
    ],
)
def test_files_that_are_wrong_throughout_are_told_so(text, why):
    found = read_judges(text, ENVIRONMENT).problems
    assert any(why in problem.problem for problem in found), found


def test_a_file_that_cannot_be_read_is_a_problem_and_not_a_crash(tmp_path):
    (missing,) = read_judges_file(tmp_path / "none.toml", {}).problems
    assert "No such file" in missing.problem
    (tmp_path / "latin.toml").write_bytes(b"# \xff")
    (wrong,) = read_judges_file(tmp_path / "latin.toml", {}).problems
    assert "UTF-8" in wrong.problem


def test_three_families_draw_no_warning():
    text = "".join(judge(name=f'"{family}"', family=f'"{family}"') for family in "abc")
    file = read_judges(text, ENVIRONMENT)
    assert not file.problems
    assert not file.warnings


def test_every_provider_that_may_be_written_can_be_made():
    assert set(PROVIDERS) == set(PROVIDER_FACTORIES)
    assert "api_key" not in KEYS


def test_providers_that_have_a_batch_endpoint_are_used_by_it_unless_told_otherwise():
    def read(**keys):
        return read_judges(judge(**keys), ENVIRONMENT).judges[0]

    assert (read().takes_batches, read().batch_factor) == (True, 0.5)
    assert not read(batch="false").takes_batches
    assert read(batch_price_factor="0.4").batch_factor == 0.4
    server = {"provider": '"openai-compatible"', "base_url": '"http://localhost/v1"'}
    assert (read(**server).takes_batches, read(**server).batch_factor) == (False, 1.0)
    assert read(**server, batch="true", batch_max_requests="10", batch_max_mb="0.5").takes_batches


def test_what_cannot_be_of_a_batch_endpoint_is_reported():
    wrong = {"batch_price_factor": "1.5", "batch_max_requests": "0", "batch_max_mb": "-1"}
    found = problems(judge(batch='"yes"', **wrong))
    assert set(found) == {f"judges[0].{key}" for key in ("batch", *wrong)}
    recorded = problems(judge(provider='"recorded"', batch="true"))
    assert "no batch endpoint" in recorded["judges[0].batch"]
