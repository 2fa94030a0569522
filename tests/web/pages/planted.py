"""A small project with known truth, brought in over the API as a user would: files, then calibrations."""

import csv
import io
import json
import time
from typing import Any

import httpx2
import numpy as np

JUDGES = (  # name, family, severity (points), slope, noise
    ("azure-4", "azure", 0.35, 0.9, 0.45),
    ("azure-mini", "azure", -0.1, 0.7, 0.6),
    ("basalt/large", "basalt", -0.3, 1.0, 0.4),
    ("cobalt-2", "cobalt", 0.0, 0.8, 0.5),
)
SYSTEMS = ("helper-1", "helper-2", "rival-a", "rival-b", "tiny", "legacy-bot")
FAMILIES = {"helper-1": "azure", "helper-2": "azure", "rival-a": "basalt", "rival-b": "cobalt"}
TRUE_QUALITY = (3.6, 3.9, 3.4, 3.1, 2.4, 2.7)
LANGUAGES = ("de", "en", "fr")

POINTWISE = {
    "kind": "pointwise",
    "instructions": "You judge answers of a support assistant. Be strict about facts.",
    "criteria": [
        {
            "name": "helpfulness",
            "description": "How far the answer solves the user's problem.",
            "scale": {"min": 1, "max": 5, "step": 1},
        },
        {"name": "tone", "description": "How it sounds.", "scale": {"labels": ["rude", "plain", "kind"]}},
    ],
}  # fmt: skip
PAIRWISE = {
    "kind": "pairwise",
    "instructions": "Which of the two answers would you rather have got?",
    "criteria": [
        {"name": "preference", "description": "The better answer.", "scale": {"min": 1, "max": 5, "step": 1}}
    ],
}


def table(rows: list[dict[str, Any]]) -> bytes:
    """Rows as a CSV file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def pointwise(prompts: int = 60, seed: int = 1) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Judge verdicts and human grades of every system's answer to every prompt, a third of them graded."""
    rng = np.random.default_rng(seed)
    verdicts: list[dict[str, Any]] = []
    grades: list[dict[str, Any]] = []
    for prompt in range(prompts):
        ease = 0.4 * rng.standard_normal()
        for system, quality in zip(SYSTEMS, TRUE_QUALITY, strict=True):
            words = int(np.exp(4.5 + 0.4 * rng.standard_normal()))
            truth = quality + ease + 0.5 * rng.standard_normal()
            about = {
                "item_id": f"q{prompt:03}", "system": system, "criterion": "helpfulness",
                "stratum.language": LANGUAGES[prompt % 3], "len_words": words,
                "system_family": FAMILIES.get(system, ""),
            }  # fmt: skip
            for name, family, severity, slope, noise in JUDGES:
                own = 0.4 if FAMILIES.get(system) == family else 0.0
                wordy = 0.3 * (np.log2(words) - 6.5)
                said = 3 + slope * (truth - 3) - severity + own + wordy + noise * rng.standard_normal()
                missing = rng.random() < 0.02
                score = "" if missing else int(np.clip(round(said), 1, 5))
                verdicts.append(
                    about
                    | {"judge": name, "judge_family": family, "score": score}
                    | {"unscored": "timeout" if missing else ""}
                )
            if rng.random() < 0.4:
                for person in ("ann", "bob")[: 1 + int(rng.random() < 0.5)]:
                    felt = int(np.clip(round(truth + 0.4 * rng.standard_normal()), 1, 5))
                    grades.append(
                        about
                        | {"annotator": person, "annotator_type": "expert", "score": felt, "blind": "yes"}
                    )
    return verdicts, grades


def pairwise(prompts: int = 120, seed: int = 2) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Judge verdicts in both orders, with a taste for the first place, and human preferences."""
    rng = np.random.default_rng(seed)
    verdicts: list[dict[str, Any]] = []
    grades: list[dict[str, Any]] = []
    for prompt in range(prompts):
        a, b = rng.choice(len(SYSTEMS), 2, replace=False)
        gap = TRUE_QUALITY[a] - TRUE_QUALITY[b] + 0.5 * rng.standard_normal()
        item = {"item_id": f"p{prompt:03}"}
        for name, family, _, slope, noise in JUDGES[:3]:
            for order, (first, second, sign) in enumerate(((a, b, 1), (b, a, -1)), 1):
                felt = slope * sign * gap + 0.4 + 2 * noise * rng.standard_normal()
                said = "tie" if abs(felt) < 0.2 else "A" if felt > 0 else "B"
                sides = {"system_a": SYSTEMS[first], "system_b": SYSTEMS[second]}
                verdicts.append(
                    item | sides | {"judge": name, "judge_family": family, "order": order, "verdict": said}
                )
        if rng.random() < 0.7:
            felt = gap + 0.5 * rng.standard_normal()
            said = "tie" if abs(felt) < 0.2 else "A" if felt > 0 else "B"
            sides = {"system_a": SYSTEMS[a], "system_b": SYSTEMS[b]}
            grades.append(item | sides | {"annotator": "ann", "annotator_type": "expert", "verdict": said})
    return verdicts, grades


def fill(client: httpx2.Client) -> dict[str, Any]:
    """Bring the project in and calibrate it; returns ids of what pages can be asked for."""
    for name, rubric in {"support": POINTWISE, "duel": PAIRWISE}.items():
        assert client.put(f"/rubrics/{name}", json=rubric).status_code == 201
    ids: dict[str, Any] = {}
    for name, (verdicts, grades) in {"support": pointwise(), "duel": pairwise()}.items():
        brought = _post(client, "/verdicts", name, verdicts)
        ids[f"import_{name}"] = brought.json()["import_id"]
        _wait(client, f"/imports/{ids[f'import_{name}']}", ("done", "failed"))
        _post(client, "/anchors", name, grades, anchor_set=f"{name}-people")
    _live(client)
    ids["grade"] = _grade(client, "support", 1)
    ids["grade_pair"] = _grade(client, "duel", 2)
    ids["batch"] = _batch(client)
    until = time.monotonic() + 150
    while time.monotonic() < until:
        runs = client.get("/calibrations").json()["items"]
        if all(run["status"] not in ("queued", "running") for run in runs) and runs:
            break
        time.sleep(0.2)
    for run in runs:
        if run["rubric"] != "live":
            ids.setdefault(f"calibration_{run['criterion']}", run["calibration_id"])
        assert run["status"] in ("done", "refused"), run
    ids["refused"] = _refused(client)
    ids["grade_weighed"] = _live_grade(client, 99, 0)["grade_id"]
    found = client.get("/judges/azure-4/examples", params={"rubric": "support", "criterion": "helpfulness"})
    ids["answer"] = found.json()["versions"][0]["examples"][0]["answer_id"]
    ids |= _audits(client)
    return ids


_TOPICS = ("router", "invoice", "battery", "password", "printer", "camera")


def _live_grade(client: httpx2.Client, k: int, system: int) -> dict[str, Any]:
    """One answer graded by this service's own simulated judges, with its texts."""
    topic = _TOPICS[k % len(_TOPICS)]
    body = {
        "rubric": "live", "item_id": f"live-{k}", "prompt": f"What do I do about my {topic}, case {k}?",
        "answers": [
            {
                "system": SYSTEMS[system],
                "text": f"For the {topic}: " + "turn it off, wait a while, turn it on again. " * (1 + k % 5),
            }
        ],
    }  # fmt: skip
    response = client.post("/grade", content=json.dumps(body), headers={"content-type": "application/json"})
    assert response.status_code == 200, response.text
    return {**response.json(), "prompt": body["prompt"], "text": body["answers"][0]["text"]}


def _live(client: httpx2.Client) -> None:
    """A rubric whose answers are graded here and by people, so that calibrated grades can follow."""
    one = {**POINTWISE, "criteria": POINTWISE["criteria"][:1]}
    assert client.put("/rubrics/live", json=one).status_code == 201
    rng = np.random.default_rng(3)
    rows = []
    for k in range(24):
        for system in (0, 4):
            given = _live_grade(client, k, system)
            raw = given["raw"]["helpfulness"]["mean"]
            felt = 0.5 + 0.8 * raw - 0.5 * (system == 4) + 0.4 * rng.standard_normal()
            rows.append({
                "item_id": f"live-{k}", "prompt": given["prompt"], "system": SYSTEMS[system],
                "answer": given["text"], "criterion": "helpfulness", "annotator": "ann",
                "annotator_type": "expert", "blind": "yes", "score": int(np.clip(round(felt), 1, 5)),
            })  # fmt: skip
    _post(client, "/anchors", "live", rows, anchor_set="live-people")


def _batch(client: httpx2.Client) -> str:
    """A batch that waits: no worker runs beside these pages."""
    answers = [{"system": "tiny", "text": "No."}]
    line = json.dumps({"rubric": "support", "prompt": "And now?", "answers": answers})
    headers = {"content-type": "application/x-ndjson"}
    sent = client.post("/batches", content=line.encode(), params={"budget_usd": 1}, headers=headers)
    assert sent.status_code == 202, sent.text
    return str(sent.json()["batch_id"])


def _refused(client: httpx2.Client) -> str:
    run = client.post("/calibrations", json={"rubric": "support", "criterion": "tone"})
    assert run.status_code == 202, run.text
    key = run.json()["calibrations"][0]["calibration_id"]
    _wait(client, f"/calibrations/{key}", ("refused", "done", "failed"))
    return str(key)


def _audits(client: httpx2.Client) -> dict[str, str]:
    """Audits of a small set under a rubric of its own, and one of how people agree in the large set."""
    prompts = ("How do I reset the router of the guest network?", "Why does my invoice show two amounts?")
    grades = [
        {"item_id": f"a{k}", "prompt": prompt, "system": "tiny", "answer": "Hold the button.", "score": 2 + k}
        | {"criterion": "helpfulness", "annotator": "ann", "annotator_type": "expert", "blind": "no"}
        for k, prompt in enumerate(prompts)
    ]
    assert client.put("/rubrics/audited", json=POINTWISE).status_code == 201
    _post(client, "/anchors", "audited", grades, anchor_set="leaky")
    corpus = table([{"text": prompts[0]}, {"text": "Something else, which nobody has asked for."}])
    ids = {}
    for kind in ("provenance", "overlap", "invariance", "disagreement"):
        name = "support-people" if kind == "disagreement" else "leaky"
        fields = {"kind": (None, kind), "anchor_set": (None, name)}
        files = {**fields, **({"file": ("corpus.csv", corpus)} if kind == "overlap" else {})}
        begun = client.post("/audits", files=files)
        assert begun.status_code == 202, begun.text
        ids[f"audit_{kind}"] = begun.json()["audit_id"]
        _wait(client, f"/audits/{ids[f'audit_{kind}']}", ("done", "refused", "failed"))
    return ids


def _post(
    client: httpx2.Client, path: str, rubric: str, rows: list[dict[str, Any]], **fields: str
) -> httpx2.Response:
    files = {"file": ("rows.csv", table(rows), "text/csv")}
    response = client.post(path, data={"rubric": rubric, **fields}, files=files)
    assert response.status_code in (200, 201, 202), response.text
    return response


def _grade(client: httpx2.Client, rubric: str, answers: int) -> str:
    body = {
        "rubric": rubric,
        "prompt": "How do I reset the router?",
        "item_id": f"live-{rubric}",
        "strata": {"language": "en"},
        "answers": [
            {"system": SYSTEMS[k], "text": f"Hold the small button for {k + 5} seconds. " * 4}
            for k in range(answers)
        ],
    }
    response = client.post("/grade", content=json.dumps(body), headers={"content-type": "application/json"})
    assert response.status_code == 200, response.text
    return str(response.json()["grade_id"])


def _wait(client: httpx2.Client, path: str, ends: tuple[str, ...], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = client.get(path).json()
        if found["status"] in ends:
            assert found["status"] == ends[0], found
            return
        time.sleep(0.1)
    raise AssertionError(f"{path} did not end: {found}")
