import contextlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2

from app.settings import SETTINGS
from tests.running_service import POINTWISE, ROOT, service_process
from tests.web.conftest import answers

SLOW_JUDGE = """
[[judges]]
name = "{name}"
family = "{name}"
provider = "simulated"
params = {{ latency_ms = {latency_ms} }}
"""


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", "from app.bootstrap import command_line; command_line()", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, text=True, capture_output=True, timeout=60
    )


def test_every_setting_is_an_option_of_serve():
    shown = run("serve", "--help").stdout
    for setting in SETTINGS:
        assert f"{setting.option} VALUE" in shown
        assert f"[{setting.variable}]" in " ".join(shown.split())


def test_without_keys_it_refuses_to_listen_beyond_this_machine_and_says_what_to_do(tmp_path):
    outcome = run("serve", "--host", "0.0.0.0", "--data-dir", str(tmp_path))
    assert outcome.returncode == 1
    assert "VENIRE_HOST=0.0.0.0: other machines may only be served once there is a key" in outcome.stderr
    assert "venire keys create" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_every_mistake_in_settings_and_roster_is_listed_without_a_trace(tmp_path):
    outcome = run("serve", "--port", "x", "--log-level", "loud", "--data-dir", str(tmp_path))
    assert outcome.returncode == 1
    assert "VENIRE_PORT=x" in outcome.stderr
    assert "VENIRE_LOG_LEVEL=loud" in outcome.stderr
    roster = tmp_path / "judges.toml"
    roster.write_text('[[judges]]\nname = "a"\nprovider = "opnai"\n')
    outcome = run("serve", "--judges", str(roster), "--data-dir", str(tmp_path))
    assert outcome.returncode == 1
    assert "judges[0].provider" in outcome.stderr
    assert "judges[0].family" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_it_says_at_start_that_judges_are_simulated_and_stops_when_told(tmp_path):
    with service_process({"VENIRE_DATA_DIR": str(tmp_path)}) as service:
        assert httpx2.get(f"{service.url}/readyz", timeout=30).json()["simulated"]
        service.process.send_signal(signal.SIGTERM)
        _, said = service.process.communicate(timeout=60)
    assert "simulated judges" in said
    assert service.process.returncode in (0, -signal.SIGTERM)


def slow(folder: Path, latency_ms: int) -> dict[str, str]:
    """Settings of a service whose judges take their time."""
    judges = (SLOW_JUDGE.format(name=name, latency_ms=latency_ms) for name in ("one", "two", "three"))
    (folder / "judges.toml").write_text("".join(judges))
    return {"VENIRE_DATA_DIR": str(folder), "VENIRE_JUDGES": str(folder / "judges.toml")}


def begin(url: str, count: int) -> list[str]:
    """Grades that are accepted and at work."""
    httpx2.put(f"{url}/rubrics/point", json=POINTWISE, timeout=30)
    bodies = [
        {"rubric": "point", "prompt": f"How {k}?", "answers": answers(1), "wait": False} for k in range(count)
    ]
    return [httpx2.post(f"{url}/grade", json=body, timeout=30).json()["grade_id"] for body in bodies]


def test_what_was_accepted_is_finished_before_the_service_stops(tmp_path):
    settings = slow(tmp_path, latency_ms=3000)
    with service_process(settings) as service:
        begun = begin(service.url, 5)
        service.process.send_signal(signal.SIGTERM)
        service.process.communicate(timeout=60)
    with service_process(settings) as service:
        grades = [httpx2.get(f"{service.url}/grades/{grade}", timeout=30).json() for grade in begun]
    assert [grade["status"] for grade in grades] == ["complete"] * 5


def test_what_a_killed_service_left_is_closed_with_the_reason_at_every_seat(tmp_path):
    settings = slow(tmp_path, latency_ms=50_000)
    with service_process(settings) as service:
        begun = begin(service.url, 5)
        with ThreadPoolExecutor(3) as pool:

            def wait_for_one(k: int) -> None:
                body = {"rubric": "point", "prompt": f"Why {k}?", "answers": answers(1)}
                with contextlib.suppress(httpx2.TransportError):
                    httpx2.post(f"{service.url}/grade", json=body, timeout=60)

            pool.map(wait_for_one, range(3))
            time.sleep(0.5)
            service.kill()
    with service_process(settings) as service:
        grades = [httpx2.get(f"{service.url}/grades/{grade}", timeout=30).json() for grade in begun]
    for grade in grades:
        assert grade["status"] == "failed"
        assert len(grade["seats"]) == 3
        for seat in grade["seats"]:
            assert seat["unscored"]["reason"] == "provider_error"
            assert "the service stopped before" in seat["unscored"]["detail"]


def test_a_taken_port_is_said_in_words(tmp_path):
    with service_process({"VENIRE_DATA_DIR": str(tmp_path / "a")}) as service:
        port = service.url.rpartition(":")[2]
        outcome = run("serve", "--port", port, "--data-dir", str(tmp_path / "b"))
        assert outcome.returncode == 1
        assert "address already in use" in outcome.stderr
