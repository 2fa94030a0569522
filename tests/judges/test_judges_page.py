"""docs/judges.md keeps up with the code."""

import re
from dataclasses import fields
from pathlib import Path

from app.domain.judging import UnscoredReason
from app.judges.breaker import BreakerPolicy
from app.judges.config import PROVIDERS, JudgeConfig, read_judges
from app.judges.params import MAX_OUTPUT_TOKENS, OURS
from app.judges.retry import RETRY_STATUSES, RetryPolicy

PAGE = (Path(__file__).parents[2] / "docs" / "judges.md").read_text("utf-8")
KEYS, PARAMETERS = PAGE.split("## Parameters")


def rows(text: str) -> list[str]:
    return re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)


def test_every_key_of_a_judge_is_explained():
    assert rows(KEYS) == [f.name for f in fields(JudgeConfig) if f.name not in ("api_key", "folder")]


def test_every_parameter_of_ours_is_explained():
    assert rows(PARAMETERS) == list(OURS)
    assert f"| {MAX_OUTPUT_TOKENS} |" in PARAMETERS


def test_the_example_is_a_roster_without_mistakes():
    example = PAGE.split("```toml")[1].split("```")[0]
    file = read_judges(example, {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"})
    assert (file.problems, file.warnings) == ((), ())


def test_providers_reasons_and_numbers_are_those_of_the_code():
    assert all(f"`{provider}`" in PAGE for provider in PROVIDERS)
    assert all(f"`{reason}`" in PAGE for reason in UnscoredReason)
    assert ", ".join(str(status) for status in sorted(RETRY_STATUSES)) + ", 5xx" in PAGE
    assert (RetryPolicy().attempts, BreakerPolicy().failures) == (5, 5)
    assert (BreakerPolicy().cooldown_s, BreakerPolicy().longest_s) == (10.0, 120.0)
