import json
import tomllib

from hypothesis import given
from hypothesis import strategies as st

from app.judges.config import JudgeConfig, read_judges
from app.judges.roster_file import write_judges

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
WORD = TEXT.filter(lambda text: text.strip() == text and text.isprintable())
NUMBER = st.floats(1e-6, 1e6, allow_nan=False)
PARAMS = st.dictionaries(
    TEXT,
    st.recursive(
        TEXT
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=5,
    ),
    max_size=4,
)


@st.composite
def configs(draw) -> JudgeConfig:
    params = json.dumps(draw(PARAMS), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return JudgeConfig(
        name=draw(WORD),
        family=draw(WORD),
        provider="openai-compatible",
        model=draw(WORD),
        base_url="http://127.0.0.1:11434/v1",
        params=params,
        price_input_per_mtok=draw(NUMBER),
        requests_per_minute=draw(st.none() | NUMBER),
        max_concurrency=draw(st.integers(1, 1000)),
        timeout_s=draw(NUMBER),
        batch=draw(st.none() | st.booleans()),
        batch_price_factor=draw(st.none() | st.floats(1e-3, 1)),
        batch_max_requests=draw(st.none() | st.integers(1, 10**6)),
        enabled=draw(st.just(True)),
    )


@given(st.lists(configs(), min_size=1, max_size=4, unique_by=lambda config: config.name))
def test_what_is_written_is_read_back_the_same(written):
    file = read_judges(write_judges(written, {written[0].name: "a comment\n[[judges]]\x00\x1b"}), {})
    assert file.problems == ()
    assert file.judges == tuple(written)


def test_a_key_is_named_and_never_written():
    config = JudgeConfig("j", "f", "openai", "m", api_key_env="OPENAI_API_KEY", api_key="sk-secret")
    text = write_judges([config])
    assert "sk-secret" not in text
    assert tomllib.loads(text)["judges"][0]["api_key_env"] == "OPENAI_API_KEY"
