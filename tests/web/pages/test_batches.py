from tests.batches.conftest import lines, send


def test_batches_are_listed_shown_and_steered(client):
    sent = send(client, lines(7), name="<b>release</b>")
    listed = client.get("/ui/batches").text
    assert "&lt;b&gt;release&lt;/b&gt;" in listed
    assert "No worker is running" in listed
    assert "alder-1" in listed
    page = f"/ui/batches/{sent['batch_id']}"
    shown = client.get(page)
    assert shown.status_code == 200
    assert "running" in shown.text
    paused = client.post(page, data={"action": "pause"}, follow_redirects=True)
    assert "paused by its caller" in paused.text
    again = client.post(page, data={"action": "pause"}, follow_redirects=True)
    assert "which cannot become paused" in again.text
    assert client.post(page, data={"action": "dance"}).status_code == 422
    cancelled = client.post(page, data={"action": "cancel"}, follow_redirects=True)
    assert "cancelled" in cancelled.text


def test_what_bulk_grading_looks_like_is_measured(client):
    sent = send(client, lines(3))
    text = client.get("/metrics").text
    assert 'venire_batches{status="running"} 1.0' in text
    assert 'venire_batch_chunks{state="waiting"} 1.0' in text
    assert "venire_batch_items_left 3.0" in text
    client.delete(f"/batches/{sent['batch_id']}")
    assert "venire_batch_items_left 0.0" in client.get("/metrics").text
