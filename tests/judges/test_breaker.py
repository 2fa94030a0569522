from app.judges.breaker import Breaker, BreakerPolicy

POLICY = BreakerPolicy(failures=3, cooldown_s=10.0, longest_s=30.0)


def fail(breaker: Breaker, now: float, times: int = 1) -> None:
    for _ in range(times):
        assert breaker.why_not(now) is None
        breaker.failed(now, "HTTP 500", probe=breaker.begin())


def test_it_opens_after_failures_in_a_row_and_says_why():
    breaker = Breaker(POLICY)
    fail(breaker, 100.0, 3)
    why = breaker.why_not(104.0)
    assert why == "not called: 3 failures in a row, tried again in 6 s; the last was: HTTP 500"


def test_a_success_in_between_starts_the_count_anew():
    breaker = Breaker(POLICY)
    fail(breaker, 0.0, 2)
    breaker.begin()
    breaker.succeeded()
    fail(breaker, 0.0, 2)
    assert breaker.why_not(0.0) is None


def test_after_the_cooldown_one_probe_may_go_and_nobody_else_until_it_is_back():
    breaker = Breaker(POLICY)
    fail(breaker, 0.0, 3)
    assert breaker.why_not(10.0) is None
    assert breaker.begin()
    assert "being tried again now" in (breaker.why_not(10.0) or "")
    breaker.succeeded()
    assert breaker.why_not(10.0) is None
    assert not breaker.begin()


def test_each_failed_probe_doubles_the_cooldown_up_to_a_longest():
    breaker = Breaker(POLICY)
    fail(breaker, 0.0, 3)
    fail(breaker, 10.0)
    assert breaker.why_not(29.0) is not None
    fail(breaker, 30.0)
    assert breaker.why_not(59.0) is not None
    fail(breaker, 60.0)
    assert breaker.why_not(89.0) is not None
    assert breaker.why_not(90.0) is None


def test_a_probe_that_was_cancelled_leaves_room_for_the_next():
    breaker = Breaker(POLICY)
    fail(breaker, 0.0, 3)
    breaker.left(probe=breaker.begin())
    assert breaker.why_not(10.0) is None


def test_a_late_failure_of_a_call_from_before_does_not_end_the_probe():
    breaker = Breaker(POLICY)
    early = breaker.begin()
    fail(breaker, 0.0, 3)
    assert breaker.why_not(10.0) is None
    breaker.begin()
    breaker.failed(10.0, "late", probe=early)
    assert breaker.probing
    assert breaker.open_until == 10.0
