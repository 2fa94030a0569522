"""What every page costs at a million verdicts: time and size.

Run with ``python -m benchmarks.pages [--verdicts 1000000] [--folder DIR] [--starts 3]``. A service of its own
(SQLite) is filled over its API with simulated verdicts of five judges on 20 systems' answers, and
simulated grades of 2,000 answers by two people, texts included for these; names of judges, rubric and set say
that they are simulated. Then it calibrates. Several times the service is started, and every page is asked for
once cold (the first time since the start) and seven times warm. ``--folder`` keeps the filled database there
and uses it again.

*cold* and *warm* are milliseconds until the whole page is here, *CPU* is what the service spends on a warm
one in all its threads (Linux only), each the best of all starts, since whatever else a machine does only adds
to them; *kB* is the size, uncompressed.
"""

import argparse
import csv
import io
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx2
import numpy as np

from tests.running_service import service_process

JUDGES = tuple(f"simulated-{name}" for name in ("ash", "birch", "cedar", "doug", "elm"))
SYSTEMS, LANGUAGES, GRADED = 20, ("de", "en", "fr", "pt"), 2_000
RUBRIC = {
    "kind": "pointwise",
    "instructions": "Simulated verdicts: nothing here measures a model.",
    "criteria": [{"name": "quality", "description": "How good.", "scale": {"min": 1, "max": 5, "step": 1}}],
}  # fmt: skip
WORDS = (
    *("press", "hold", "the", "round", "button", "until", "light", "blinks", "then", "wait", "reset"),
    *("router", "invoice", "cable", "battery"),
)
MOST_MS, MOST_KB, WARM = 300, 300, 7


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description=__doc__)
    parser.add_argument("--verdicts", type=int, default=1_000_000)
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="keep the database here, and use it again")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = given.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        settings = {"VENIRE_DATA_DIR": str(folder), "VENIRE_WORKERS": "0"}
        kept = folder / "filled.json"
        if not kept.exists():
            with (
                service_process(settings) as service,
                httpx2.Client(base_url=service.url, timeout=900) as client,
            ):
                began = time.perf_counter()
                kept.write_text(json.dumps(fill(client, given.verdicts)))
                print(f"filled and calibrated in {time.perf_counter() - began:.0f} s", flush=True)
        runs = []
        for _ in range(given.starts):
            print(f"load of the machine: {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores", flush=True)
            with (
                service_process(settings) as service,
                httpx2.Client(base_url=service.url, timeout=900) as client,
            ):
                runs.append(measure(client, json.loads(kept.read_text()), service.process.pid))
        show([(rows[0][0], *np.min([row[1:] for row in rows], axis=0)) for rows in zip(*runs, strict=True)])


def fill(client: httpx2.Client, verdicts: int) -> dict[str, str]:
    """Bring everything in and calibrate; returns the ids that pages are asked for."""
    client.put("/rubrics/simulated", json=RUBRIC).raise_for_status()
    rng = np.random.default_rng(1)
    items = verdicts // (len(JUDGES) * SYSTEMS)
    truth = 3 + np.linspace(-0.8, 0.8, SYSTEMS) + 0.5 * rng.standard_normal((items, 1))
    truth = truth + 0.5 * rng.standard_normal((items, SYSTEMS))
    words = np.exp(4.5 + 0.4 * rng.standard_normal(truth.shape)).astype(int)
    ids = {"import": upload(client, "/verdicts", recorded(truth, words, rng))["import_id"]}
    wait(client, f"/imports/{ids['import']}")
    upload(client, "/anchors", people(truth, words, rng), anchor_set="simulated people")
    until = time.monotonic() + 1800
    while time.monotonic() < until:
        runs = client.get("/calibrations").json()["items"]
        if runs and all(run["status"] not in ("queued", "running") for run in runs):
            break
        time.sleep(1)
    ids["calibration"] = runs[0]["calibration_id"]
    assert runs[0]["status"] == "done", runs[0]
    for k in range(30):
        ids["grade"] = grade(client, k)
    examples = client.get(
        f"/judges/{JUDGES[0]}/examples", params={"rubric": "simulated", "criterion": "quality"}
    ).json()
    ids["answer"] = examples["versions"][0]["examples"][0]["answer_id"]
    for kind in ("provenance", "disagreement"):
        begun = client.post("/audits", files={"kind": (None, kind), "anchor_set": (None, "simulated people")})
        ids[kind] = begun.raise_for_status().json()["audit_id"]
        wait(client, f"/audits/{ids[kind]}")
    queue = {"name": "queue", "rubric": "simulated", "anchor_set": "from the queue"}
    client.post("/annotation-queues", json=queue).raise_for_status()
    lines = "\n".join(json.dumps(request(k)) for k in range(2_000)).encode()
    sent = client.post(
        "/batches", content=lines, params={"budget_usd": 1}, headers={"content-type": "application/x-ndjson"}
    )
    ids["batch"] = sent.raise_for_status().json()["batch_id"]
    return ids


def recorded(truth: Any, words: Any, rng: np.random.Generator) -> bytes:
    """Every judge on every answer: severities, slopes, noise, one verdict in fifty missing."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(
        ["item_id", "system", "judge", "judge_family", "criterion", "score", "unscored", "len_words",
         "stratum.language"]
    )  # fmt: skip
    for j, judge in enumerate(JUDGES):
        said = 3 + (0.6 + 0.1 * j) * (truth - 3) + 0.1 * (j - 2) + 0.5 * rng.standard_normal(truth.shape)
        said = np.clip(np.round(said), 1, 5).astype(int)
        missing = rng.random(truth.shape) < 0.02
        for item in range(len(truth)):
            for system in range(SYSTEMS):
                gone = missing[item, system]
                table.writerow(
                    [f"item {item}", f"system {system:02}", judge, f"family {j % 3}", "quality",
                     "" if gone else said[item, system], "timeout" if gone else "", words[item, system],
                     LANGUAGES[item % 4]]
                )  # fmt: skip
    return text.getvalue().encode()


def people(truth: Any, words: Any, rng: np.random.Generator) -> bytes:
    """Two made-up people on some answers, with texts as long as is on record."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(
        [
            "item_id",
            "prompt",
            "system",
            "answer",
            "annotator",
            "annotator_type",
            "criterion",
            "score",
            "blind",
        ]
    )
    graded = rng.choice(truth.size, min(GRADED, truth.size // 2), replace=False)
    for unit in np.sort(graded).tolist():
        item, system = divmod(unit, SYSTEMS)
        said = " ".join(rng.choice(WORDS, words[item, system]))
        for person in ("ann", "bob"):
            felt = int(np.clip(round(truth[item, system] + 0.4 * rng.standard_normal()), 1, 5))
            table.writerow(
                [f"item {item}", f"How do I reset router {item}?", f"system {system:02}", said, person,
                 "expert", "quality", felt, "yes"]
            )  # fmt: skip
    return text.getvalue().encode()


def request(k: int) -> dict[str, Any]:
    answers = [{"system": f"system {k % SYSTEMS:02}", "text": "Press the round button. " * 30}]
    return {"rubric": "simulated", "prompt": f"How do I reset router {k}?", "answers": answers}


def grade(client: httpx2.Client, k: int) -> str:
    return str(client.post("/grade", json=request(k)).raise_for_status().json()["grade_id"])


def upload(client: httpx2.Client, path: str, body: bytes, **form: str) -> dict[str, Any]:
    data = {"rubric": "simulated", **form}
    answered = client.post(path, files={"file": ("rows.csv", body, "text/csv")}, data=data)
    assert answered.status_code < 300, answered.text[:2_000]
    found: dict[str, Any] = answered.json()
    return found


def wait(client: httpx2.Client, path: str) -> None:
    until = time.monotonic() + 1800
    while time.monotonic() < until:
        if client.get(path).json()["status"] in ("done", "refused", "failed"):
            return
        time.sleep(0.5)
    raise RuntimeError(f"{path} did not end")


def pages(ids: dict[str, str]) -> dict[str, str]:
    """Every page by its name."""
    of = "rubric=simulated&criterion=quality"
    return {
        "overview": "/ui",
        "quality": f"/ui/quality?{of}",
        "quality by language": f"/ui/quality?{of}&by=stratum.language",
        "quality by system and language": f"/ui/quality?{of}&by=system&by=stratum.language",
        "comparison": f"/ui/quality/compare?{of}&baseline=system+01&candidate=system+02&margin=0.1",
        "comparison by language": f"/ui/quality/compare?{of}&baseline=system+01&candidate=system+02"
        "&margin=0.1&by=stratum.language",
        "judges": f"/ui/judges?{of}",
        "judge": f"/ui/judges/{JUDGES[0]}?{of}",
        "answer": f"/ui/answers/{ids['answer']}?{of}",
        "anchor sets": "/ui/anchor-sets",
        "anchor set": "/ui/anchor-sets/simulated%20people",
        "upload": "/ui/anchor-sets/upload?rubric=simulated",
        "annotate": "/ui/annotate",
        "annotation queue": "/ui/annotate/queue",
        "label planner": "/ui/annotate/-/plan?of=simulated/quality",
        "audits": "/ui/audits",
        "provenance audit": f"/ui/audits/{ids['provenance']}",
        "disagreement audit": f"/ui/audits/{ids['disagreement']}",
        "put aside": "/ui/quarantine",
        "calibrations": "/ui/calibrations",
        "calibration": f"/ui/calibrations/{ids['calibration']}",
        "grades": "/ui/grades",
        "grade": f"/ui/grades/{ids['grade']}",
        "batches": "/ui/batches",
        "batch": f"/ui/batches/{ids['batch']}",
        "rubrics": "/ui/rubrics",
        "rubric": "/ui/rubrics/simulated",
        "imports": "/ui/imports",
        "import": f"/ui/imports/{ids['import']}",
    }


def measure(
    client: httpx2.Client, ids: dict[str, str], pid: int
) -> list[tuple[str, float, float, float, float]]:
    """Name, cold and warm milliseconds, CPU milliseconds of a warm one, kilobytes of every page."""
    found = []
    for name, path in pages(ids).items():
        times, size, before = [], 0, 0.0
        for k in range(1 + WARM):
            if k == 1:
                before = cpu_ms(pid)
            began = time.perf_counter()
            response = client.get(path)
            times.append(1e3 * (time.perf_counter() - began))
            assert response.status_code == 200, (name, response.status_code, response.text[:300])
            size = len(response.content)
        cpu = (cpu_ms(pid) - before) / WARM
        found.append((name, times[0], min(times[1:]), cpu, size / 1e3))
    return found


def cpu_ms(pid: int) -> float:
    """What a process has used so far, in all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return 1e3 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def show(found: list[tuple[str, float, float, float, float]]) -> None:
    print("| page | cold ms | warm ms | CPU ms | kB |\n|---|---|---|---|---|")
    for name, cold, warm, cpu, size in found:
        over = " (over)" if warm > MOST_MS or size > MOST_KB else ""
        print(f"| {name}{over} | {cold:,.0f} | {warm:,.0f} | {cpu:,.0f} | {size:,.0f} |")


if __name__ == "__main__":
    main()
