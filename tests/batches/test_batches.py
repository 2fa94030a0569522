"""Bulk grading over HTTP with a worker in a process of its own, on both kinds of database."""

import json

from tests.batches.conftest import lines, request, results, send, until, wait_for
from tests.batches.running_worker import worker_process


def test_a_file_of_requests_is_graded_to_its_end(serve, settings):
    service = serve()
    with service.client() as client, worker_process(settings) as worker:
        sent = send(client, lines(450), name="release 7")
        assert sent["items"] == 450
        assert sent["estimate"]["seats"] == 1350
        done = wait_for(client, sent, "done")
        assert done["counts"]["complete"] + done["counts"]["partial"] == 450
        assert done["counts"]["left"] == 0
        assert done["counts"]["calls"] >= 1350
        found = results(client, sent)
        assert [one["number"] for one in found] == list(range(450))
        assert [one["line"] for one in found] == list(range(1, 451))
        assert [one["grade"]["item_id"] for one in found] == [f"item-{k}" for k in range(450)]
        seats = found[7]["grade"]["seats"]
        assert len({seat["family"] for seat in seats if seat["replaces"] is None}) == 3
        same = client.get(f"/grades/{found[7]['grade']['grade_id']}").json()
        assert same == found[7]["grade"]
        assert client.get("/batches").json()["items"][0]["name"] == "release 7"
        assert 'venire_batches{status="done"} 1.0' in client.get("/metrics").text
        # On a busy machine a sign of life may be late.
        until(lambda: [one["pid"] for one in client.get("/workers").json()] == [worker.process.pid])
        until(lambda: 'venire_workers{status="working"} 1.0' in client.get("/metrics").text)
        assert worker.stop() == 0
        assert client.get("/workers").json() == []


def test_a_paused_batch_rests_and_goes_on(serve, settings):
    service = serve()
    with service.client() as client:
        sent = send(client, lines(300))
        url = f"/batches/{sent['batch_id']}"
        assert "venire worker" in client.get(url).json()["warnings"][0]
        assert client.post(f"{url}/pause").json()["status"] == "paused"
        assert client.post(f"{url}/pause").status_code == 409
        with worker_process(settings):
            other = send(client, lines(20, prompt="Another?", item_id=None))
            wait_for(client, other, "done")
            assert client.get(url).json()["counts"]["left"] == 300
            assert client.post(f"{url}/resume").json()["status"] == "running"
            wait_for(client, sent, "done")


def test_a_cancelled_batch_is_over(serve, settings):
    service = serve()
    with service.client() as client:
        sent = send(client, lines(30))
        assert client.delete(f"/batches/{sent['batch_id']}").json()["status"] == "cancelled"
        assert client.post(f"/batches/{sent['batch_id']}/resume").status_code == 409
        with worker_process(settings):
            wait_for(client, send(client, lines(5, item_id=None)), "done")
        assert results(client, sent) == []


def test_every_bad_line_is_named_and_nothing_begins(serve):
    service = serve()
    bad = [
        json.dumps(request(0)),
        "{",
        "",
        json.dumps(request(1, rubric="pair")),
        json.dumps(request(2, rubric="nobody")),
        json.dumps(request(3, prompts="?")),
        json.dumps(request(4, wait=False)),
        json.dumps(request(5, panel={"families": 9})),
        json.dumps(request(0, prompt="Another question?")),
    ]
    with service.client() as client:
        answer = send(client, "\n".join(bad).encode(), expect=422)
        assert [one["row"] for one in answer["errors"]] == [2, 4, 5, 6, 7, 8, 9]
        assert "7 lines" in answer["detail"]
        assert client.get("/batches").json()["items"] == []
        assert send(client, b"\n\n", expect=422)["detail"] == "there is no request in the file"
        response = client.post("/batches", content=b"{}", headers={"content-type": "text/csv"})
        assert response.status_code == 415


def test_a_dry_run_only_estimates(serve):
    service = serve()
    with service.client() as client:
        assert send(client, lines(12), expect=200, dry_run=True)["items"] == 12
        assert client.get("/batches").json()["items"] == []


def test_verdicts_are_used_again_if_allowed_and_counted_once(serve, settings):
    service = serve()
    seeds = [request(k, panel={"seed": 7 + k}) for k in range(40)]
    body = "\n".join(json.dumps(one) for one in seeds).encode()
    with service.client() as client, worker_process(settings):
        first = wait_for(client, send(client, body), "done")
        again = wait_for(client, send(client, body, reuse="same_project"), "done")
        anew = wait_for(client, send(client, body), "done")
        assert first["counts"]["reused"] == 0
        assert anew["counts"]["reused"] == 0
        old, new = results(client, first), results(client, again)
        for one, other in zip(old, new, strict=True):
            kept = {seat["position"]: seat for seat in one["grade"]["seats"] if seat["unscored"] is None}
            for seat in other["grade"]["seats"]:
                if seat["position"] in kept and seat["replaces"] is None:
                    assert seat["cached"]
                    assert seat["scores"] == kept[seat["position"]]["scores"]
                    assert seat["attempts"] == 0
        assert again["counts"]["reused"] >= 100
        judges = client.get("/judges").json()["items"]
        verdicts = sum(version["verdicts"] for judge in judges for version in judge["versions"])
        assert verdicts == first["counts"]["calls"] + again["counts"]["calls"] + anew["counts"]["calls"]


def test_items_that_are_known_are_graded_without_being_sent_again(serve, settings):
    service = serve()
    with service.client() as client, worker_process(settings):
        answers = [{"system": name, "text": f"{name} says so."} for name in ("one", "two")]
        for k in range(5):
            for answer in answers:
                graded = request(k, answers=[answer], strata={"language": "de"})
                assert client.post("/grade", json=graded).status_code == 200
        ids = [f"item-{k}" for k in range(5)]
        sent = client.post("/batches", json={"rubric": "point", "item_ids": ids})
        assert sent.json()["items"] == 10, sent.text
        pairs = {"rubric": "pair", "item_ids": ids, "systems": ["two", "one"]}
        paired = client.post("/batches", json=pairs).json()
        assert paired["items"] == 5
        wait_for(client, sent.json(), "done")
        wait_for(client, paired, "done")
        systems = [one["grade"]["systems"] for one in results(client, sent.json())]
        assert sorted(systems) == [["one"]] * 5 + [["two"]] * 5
        assert [one["grade"]["systems"] for one in results(client, paired)] == [["two", "one"]] * 5
        unknown = {"rubric": "pair", "item_ids": ["item-0", "nothing"], "systems": ["one", "three"]}
        refused = client.post("/batches", json=unknown)
        assert refused.status_code == 422
        assert [one["row"] for one in refused.json()["errors"]] == [1, 2]
        assert client.post("/batches", json={"rubric": "point"}).status_code == 422


def test_a_batch_in_two_stages_saves_calls_and_says_how_many(serve, settings):
    service = serve()
    with service.client() as client, worker_process(settings):
        dry = send(client, lines(60), expect=200, dry_run=True)
        cheaper = send(client, lines(60), expect=200, dry_run=True, first=1)
        assert cheaper["estimate"]["seats"] < dry["estimate"]["seats"]
        mine = {"panel": {"families": 3, "stages": {"first": 2, "least_chance": 1}}}
        body = lines(60) + b"\n" + json.dumps(request(60, **mine)).encode()
        done = wait_for(client, send(client, body, first=1), "done")
        grades = [one["grade"] for one in results(client, done)]
        assert grades[60]["second_stage"]["asked"]  # a line's own stages count
        assert grades[60]["second_stage"]["seats"] == 1
        spared = [one["second_stage"]["seats"] for one in grades if not one["second_stage"]["asked"]]
        assert 0 < len(spared) < 61
        assert done["saved"]["second_stage"] == sum(spared)
        assert done["saved"]["calls"] == sum(spared)
        assert done["counts"]["calls"] + done["saved"]["calls"] >= 61 * 3
        for one in grades:
            drawn = [seat for seat in one["seats"] if seat["replaces"] is None]
            assert len(drawn) == (3 if one["second_stage"]["asked"] else 1)
        assert f'venire_batch_calls_saved{{reason="second_stage"}} {sum(spared)}.0' in (
            client.get("/metrics").text
        )
        page = client.get(f"/ui/batches/{done['batch_id']}").text
        assert "Judge calls saved" in page
        assert send(client, lines(1), expect=422, first=3)["errors"][0]["path"] == "panel.stages.first"
        assert (
            client.get("/quality", params={"rubric": "point", "criterion": "helpfulness"}).status_code == 200
        )


def test_a_second_stage_that_a_killed_worker_had_drawn_is_not_drawn_again(serve, settings):
    service = serve()
    with service.client() as client:
        sent = send(client, lines(200), first=1)
        with worker_process(settings) as worker:
            until(lambda: client.get(f"/batches/{sent['batch_id']}").json()["counts"]["calls"] >= 60)
            worker.kill()
        with worker_process(settings):
            done = wait_for(client, sent, "done")
        spared = 0
        for one in (one["grade"] for one in results(client, done)):
            second = one["second_stage"]
            drawn = [seat for seat in one["seats"] if seat["replaces"] is None]
            assert [seat["stage"] for seat in drawn] == ([1, 2, 2] if second["asked"] else [1])
            spared += 0 if second["asked"] else second["seats"]
        assert done["saved"]["second_stage"] == spared
