import json
import subprocess
import sys

from tests.cli.commands import ROOT, venire


def test_help_imports_nothing_that_is_slow():
    code = """
import json, sys
from app.command import main
try:
    main()
except SystemExit:
    pass
slow = ["alembic", "fastapi", "httpx2", "numpy", "openai", "pydantic", "rich", "scipy", "sqlalchemy"]
print(json.dumps([name for name in slow if name in sys.modules]), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert "venire" in done.stdout
    assert json.loads(done.stderr) == []


def test_help_names_every_command_of_the_contract():
    text = venire("--help").stdout
    commands = (
        "serve demo grade anchors verdicts calibrate quality bias compare rankings judges keys db rubrics"
    )
    for command in commands.split():
        assert f"\n    {command} " in text, command


def test_a_mistake_in_the_arguments_failed_to_run_and_is_no_finding():
    done = venire("quality", "--rubric", "help")
    assert done.returncode == 1
    assert "--criterion" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_service_that_is_not_there_is_told_in_one_line():
    done = venire("judges", "list", url="http://127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr.startswith("http://127.0.0.1:9 cannot be reached")
    assert len(done.stderr.splitlines()) == 1


def test_an_address_that_is_none_is_told_what_one_looks_like():
    done = venire("judges", "list", "--url", "localhost:8000")
    assert done.returncode == 1
    assert "http://127.0.0.1:8000" in done.stderr


def test_settings_that_cannot_be_used_are_told_in_words():
    done = venire("judges", "list", VENIRE_PORT="many", VENIRE_DATABASE_URL="mysql://x")
    assert done.returncode == 1
    assert "VENIRE_PORT" in done.stderr
    assert "VENIRE_DATABASE_URL" in done.stderr
    assert "Traceback" not in done.stderr
