import subprocess
import sys
import tomllib
from collections.abc import Iterator

import pytest

from tests.cli.commands import ROOT, said, venire


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A model server with two models, of which one gives no log-probabilities and takes no JSON schema."""
    command = [
        sys.executable,
        "-m",
        "tests.provider_server",
        "--models",
        "llama-3 qwen,schema=json_object,logprobs=no",
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().removeprefix("listening on ").strip()
        process.terminate()


def test_models_are_listed_probed_and_written_as_a_roster_that_can_be_probed(server, tmp_path):
    roster = tmp_path / "judges.toml"
    done = venire("judges", "discover", server, "--write", roster, "--json")
    assert done.returncode == 0, done.stderr
    abilities = {one["family"]: one["probe"]["schema"] for one in said(done)}
    assert abilities == {"llama": "json_schema", "qwen": "json_object"}
    written = tomllib.loads(roster.read_text())["judges"]
    assert [judge["family"] for judge in written] == ["llama", "qwen"]
    probed = venire("judges", "probe", "--judges", roster, "--json")
    assert probed.returncode == 0, probed.stderr
    assert all(one["probe"]["works"] for one in said(probed))


def test_a_judge_that_the_file_has_already_is_not_written_twice(server, tmp_path):
    roster = tmp_path / "judges.toml"
    command = ("judges", "discover", server, "--no-probe", "--model", "llama-3", "--write", roster)
    assert venire(*command).returncode == 0
    before = roster.read_text()
    done = venire(*command)
    assert done.returncode == 1
    assert "already" in done.stderr
    assert roster.read_text() == before


def test_entries_are_shown_where_no_file_is_named(server):
    done = venire("judges", "discover", server, "--no-probe", "--family", "house")
    assert done.stdout.count("[[judges]]") == 2
    assert 'family = "house"' in done.stdout


def test_a_model_that_is_not_offered_is_told_what_is(server):
    done = venire("judges", "discover", server, "--model", "gpt-9")
    assert done.returncode == 1
    assert "llama-3" in done.stderr
