"""What this process counts: requests by route, method and status, and how long answers took."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0)
_METHODS = frozenset(("GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"))


class Counts:
    """Counts for one thread, the event loop's; reading them from another one is fine."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, str, int], int] = {}
        self._times: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def count(self, route: str, method: str, status: int) -> None:
        """Count an answer."""
        self.add((route or "other", method if method in _METHODS else "other", status))

    def add(self, key: tuple[str, str, int]) -> None:
        """Count an answer of a route and a method that we know."""
        self._requests[key] = self._requests.get(key, 0) + 1

    def time(self, route: str, seconds: float) -> None:
        """Note how long an answer took."""
        buckets = self._times.setdefault(route, [0] * (len(_BOUNDS) + 1))
        buckets[bisect_left(_BOUNDS, seconds)] += 1
        self._sums[route] = self._sums.get(route, 0.0) + seconds

    def collect(self) -> Iterator[Metric]:
        """The counts as metrics."""
        requests = CounterMetricFamily(
            "llmhive_http_requests", "Answers of this process", labels=["route", "method", "status"]
        )
        for (route, method, status), count in sorted(self._requests.items()):
            requests.add_metric([route, method, str(status)], count)
        yield requests
        times = HistogramMetricFamily(
            "llmhive_http_request_seconds", "Time to answer what is not answered from memory", labels=["route"]
        )
        for route, buckets in sorted(self._times.items()):
            found, total = [], 0
            for bound, count in zip((*map(str, _BOUNDS), "+Inf"), list(buckets), strict=True):
                total += count
                found.append((bound, float(total)))
            times.add_metric([route], found, sum_value=self._sums[route])
        yield times
