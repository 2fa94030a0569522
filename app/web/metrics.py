"""What the service counts for Prometheus; one registry per app, so that several may live in one process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from app.domain.judging import JudgeVersion, Reply

_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_FIT_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)


@dataclass(frozen=True, slots=True)
class _SeatChildren:
    """The counters of one judge and outcome."""

    calls: Counter
    seconds: Histogram
    attempts: Counter
    cost: Counter
    input: Counter
    output: Counter


class Metrics:
    """The counters and what feeds them. Names of judges and routes are labels; texts never are."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._by_request: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._by_seat: dict[tuple[str, str], _SeatChildren] = {}
        registry = self.registry
        self._requests = Counter(
            "venire_requests", "HTTP requests answered.", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "venire_request_seconds",
            "Time from a request's arrival to the end of its answer.",
            ["route"],
            registry=registry,
            buckets=_REQUEST_SECONDS,
        )
        self._calls = Counter(
            "venire_judge_seats",
            "Seats that were answered; outcome is scored or the reason why not.",
            ["judge", "family", "outcome"],
            registry=registry,
        )
        self._call_seconds = Histogram(
            "venire_judge_seconds",
            "Time a judge took for a seat, retries included.",
            ["judge"],
            registry=registry,
        )
        self._attempts = Counter(
            "venire_judge_attempts", "Calls to providers, retries included.", ["judge"], registry=registry
        )
        self._cost = Counter(
            "venire_cost_usd", "US dollars spent on judges, retries included.", ["judge"], registry=registry
        )
        self._tokens = Counter(
            "venire_judge_tokens", "Tokens of judge calls.", ["judge", "kind"], registry=registry
        )
        self._unscored = Counter(
            "venire_unscored", "Seats that gave no verdict, by reason.", ["reason"], registry=registry
        )
        self._fits = Histogram(
            "venire_fit_seconds",
            "Time of a calibration's fit, by how it ended.",
            ["outcome"],
            registry=registry,
            buckets=_FIT_SECONDS,
        )

        self._bulk = {
            "batches": Gauge("venire_batches", "Batches, by status.", ["status"], registry=registry),
            "chunks": Gauge(
                "venire_batch_chunks",
                "Open chunks of running batches: waiting, with the engine, at work, with seats at providers.",
                ["state"],
                registry=registry,
            ),
            "workers": Gauge(
                "venire_workers", "Workers that live, by status.", ["status"], registry=registry
            ),
            "provider_batches": Gauge(
                "venire_provider_batches",
                "Batches at providers that are not over, by what their providers said last.",
                ["standing"],
                registry=registry,
            ),
            "provider_seats": Gauge(
                "venire_provider_batch_seats",
                "Seats that wait for a batch at a provider: queued for one, sent with one.",
                ["state"],
                registry=registry,
            ),
            "dollars": Gauge(
                "venire_batch_usd",
                "US dollars of the budgets of batches that are not over: spent, held, suspect, limit.",
                ["kind"],
                registry=registry,
            ),
            "saved": Gauge(
                "venire_batch_calls_saved",
                "Judge calls of batches that were not made: second stages not asked, items after a decision.",
                ["reason"],
                registry=registry,
            ),
        }
        self._bulk_sums = {
            "items_left": Gauge(
                "venire_batch_items_left", "Items of running batches to be graded.", registry=registry
            ),
            "places": Gauge(
                "venire_worker_places", "Calls that all workers may have under way.", registry=registry
            ),
            "in_flight": Gauge(
                "venire_worker_calls_in_flight", "Calls that all workers have under way.", registry=registry
            ),
        }

        self._rates = {
            name: Gauge(f"venire_limit_{name}", meaning, ["of", "kind"], registry=registry)
            for name, meaning in {
                "allowance": "What may be taken in a minute (dollars: a day), by limit.",
                "used": "What all processes took in the last minute (today), by limit.",
                "flow": "Share of the allowance that flows: below 1 after calls were turned away.",
                "turned_away": "Calls that a provider turned away (429), in all.",
                "holders": "Processes that took of a limit in the last minute.",
            }.items()
        }

    def rate(self, of: str, kind: str, values: Mapping[str, float]) -> None:
        """How a limit stands that processes share."""
        for name, value in values.items():
            self._rates[name].labels(of, kind).set(value)

    def bulk(self, depths: Mapping[str, Mapping[str, float]], sums: Mapping[str, float]) -> None:
        """What bulk grading looks like now: by label, and in all."""
        for name, values in depths.items():
            for label, value in values.items():
                self._bulk[name].labels(label).set(value)
        for name, value in sums.items():
            self._bulk_sums[name].set(value)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """An HTTP request was answered."""
        key = (method, route, status)
        children = self._by_request.get(key)
        if children is None:  # looking a child up by its labels costs ten times what counting does
            children = self._requests.labels(method, route, str(status)), self._seconds.labels(route)
            self._by_request[key] = children
        children[0].inc()
        children[1].observe(seconds)

    def seat(self, judge: JudgeVersion, reply: Reply) -> None:
        """A seat was answered."""
        outcome = "scored" if reply.unscored is None else reply.unscored.reason.value
        children = self._by_seat.get((judge.name, outcome))
        if children is None:
            children = self._by_seat[judge.name, outcome] = self._seat_children(judge, outcome)
        usage = reply.usage
        children.calls.inc()
        if reply.latency_ms:  # a batch at a provider answers when it answers
            children.seconds.observe(reply.latency_ms / 1000)
        children.attempts.inc(usage.attempts)
        children.cost.inc(usage.cost_usd)
        children.input.inc(usage.input_tokens)
        children.output.inc(usage.output_tokens)
        if reply.unscored is not None:
            self._unscored.labels(outcome).inc()

    def _seat_children(self, judge: JudgeVersion, outcome: str) -> "_SeatChildren":
        return _SeatChildren(
            calls=self._calls.labels(judge.name, judge.family, outcome),
            seconds=self._call_seconds.labels(judge.name),
            attempts=self._attempts.labels(judge.name),
            cost=self._cost.labels(judge.name),
            input=self._tokens.labels(judge.name, "input"),
            output=self._tokens.labels(judge.name, "output"),
        )

    def fit(self, outcome: str, seconds: float) -> None:
        """A calibration ended: done, refused or failed."""
        self._fits.labels(outcome).observe(seconds)

    def gauge(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """A depth that is read when somebody asks, such as the grades in flight."""
        Gauge(f"venire_{name}", meaning, registry=self.registry).set_function(read)

    def exposition(self) -> tuple[bytes, str]:
        """The text that Prometheus reads, and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST
