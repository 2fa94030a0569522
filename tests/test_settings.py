from pathlib import Path

import pytest

from app.domain.problems import BadInput
from app.settings import SETTINGS, describe, read_settings

TABLE = Path(__file__).parents[1] / "docs" / "settings.md"


def test_without_any_variable_the_service_has_all_it_needs():
    settings = read_settings({})
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.database_url == f"sqlite:///{Path('data').absolute()}/venire.db"
    assert settings.judges is None
    assert settings.key_pepper is None


def test_every_mistake_is_named_at_once_in_words(tmp_path):
    with pytest.raises(BadInput) as caught:
        read_settings(
            {
                "VENIRE_PORT": "eighty",
                "VENIRE_JUDGES": str(tmp_path / "none.toml"),
                "VENIRE_LOG_LEVEL": "loud",
                "VENIRE_DATABASE_URL": "mysql://user:password@host/db",
                "VENIRE_KEY_PEPPER": "short",
            }
        )
    assert {problem.path for problem in caught.value.problems} == {
        *("VENIRE_DATABASE_URL", "VENIRE_JUDGES", "VENIRE_LOG_LEVEL", "VENIRE_PORT", "VENIRE_KEY_PEPPER")
    }
    text = describe(caught.value)
    assert "VENIRE_PORT=eighty: must be a whole number between 0 and 65535" in text
    assert "there is no such file" in text
    assert "password" not in text
    assert "short" not in text.replace("must have", "")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("postgresql://someone:secret@host:port/venire", "must be a full address"),
    ],
)
def test_a_database_address_that_cannot_be_meant_is_told_without_its_secrets(url, why):
    with pytest.raises(BadInput) as caught:
        read_settings({"VENIRE_DATABASE_URL": url})
    assert caught.value.problems[0].problem.startswith(why)
    assert "secret@" not in describe(caught.value)


def test_a_data_directory_that_is_a_file_is_a_mistake(tmp_path):
    (tmp_path / "data").write_text("")
    with pytest.raises(BadInput, match="settings cannot be used") as caught:
        read_settings({"VENIRE_DATA_DIR": str(tmp_path / "data")})
    assert caught.value.problems[0].path == "VENIRE_DATA_DIR"


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("sqlite:///x.db", "sqlite:///x.db"),
        ("postgresql://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        ("postgres://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
    ],
)
def test_plain_database_addresses_get_the_driver_we_use(given, read):
    assert read_settings({"VENIRE_DATABASE_URL": given}).database_url == read


def test_a_mistyped_variable_is_noted_with_what_was_meant():
    settings = read_settings({"VENIRE_PROT": "1", "VENIRE_TEST_POSTGRESQL": "x", "VENIRE_URL": "y"})
    assert settings.unknown == ("VENIRE_PROT is no setting; did you mean VENIRE_PORT?",)


def test_the_documented_table_is_complete_and_says_what_the_code_says():
    rows = [line for line in TABLE.read_text().splitlines() if line.startswith("| `VENIRE_")]
    expected = [
        f"| `{s.variable}` | `{s.option}` | {f'`{s.default}`' if s.default else ''} | {s.meaning} |"
        for s in SETTINGS
    ]
    assert rows == expected
