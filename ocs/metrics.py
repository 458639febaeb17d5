"""Figures for Prometheus, read from plain counters when somebody asks. Nothing here is on the way of a request."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from aiodiameter.node import Node
from ocs.gateway.gy import CreditControlFront
from ocs.store.ledger import Ledger

_TYPES = {1: "initial", 2: "update", 3: "termination", 4: "event"}


class Collector:
    """Everything one server process counts."""

    def __init__(self, node: Node, front: CreditControlFront, ledger: Ledger) -> None:
        self.node, self.front, self.ledger = node, front, ledger

    def collect(self) -> Iterator[Metric]:
        yield from self._charging()
        yield from self._store()
        yield from self._diameter()

    def _charging(self) -> Iterator[Metric]:
        answers = CounterMetricFamily(
            "ocs_answers", "Credit-Control answers by request type and Result-Code.", labels=["request", "result_code"]
        )
        for (request, code), count in list(self.front.answered.items()):
            answers.add_metric([_TYPES.get(request, str(request)), str(int(code))], count)
        yield answers
        yield CounterMetricFamily(
            "ocs_repeated_requests", "Requests that had been processed before.", value=self.front.repeated
        )
        yield CounterMetricFamily(
            "ocs_uncharged_answers", "Requests that reported usage nothing could pay for.", value=self.front.uncharged
        )

    def _store(self) -> Iterator[Metric]:
        counters = self.ledger.counters
        yield CounterMetricFamily("ocs_store_commits", "Accounts written.", value=counters.commits)
        yield CounterMetricFamily("ocs_store_pipelines", "Group commits.", value=counters.pipelines)
        yield CounterMetricFamily("ocs_store_events", "Receipts appended.", value=counters.events)
        yield CounterMetricFamily(
            "ocs_store_conflicts", "Writes refused because the account had changed.", value=counters.conflicts
        )
        yield CounterMetricFamily("ocs_store_failures", "Writes not confirmed.", value=counters.failures)
        yield CounterMetricFamily(
            "ocs_store_pipeline_seconds", "Time spent waiting for group commits.", value=counters.pipeline_s
        )
        yield GaugeMetricFamily("ocs_backlog", "Commands that wait for the next write.", value=self.ledger.backlog)

    def _diameter(self) -> Iterator[Metric]:
        peers = GaugeMetricFamily("diameter_peer_open", "1 while the peer's connection is open.", labels=["peer"])
        received = CounterMetricFamily(
            "diameter_requests_received", "Requests received.", labels=["peer", "application", "command"]
        )
        sent = CounterMetricFamily("diameter_answers_sent", "Answers sent.", labels=["peer", "result_code"])
        malformed = CounterMetricFamily(
            "diameter_malformed", "Messages that could not be processed.", labels=["peer", "reason"]
        )
        stray = CounterMetricFamily("diameter_stray_answers", "Answers nobody waited for.", labels=["peer"])
        for peer in self.node.peers:
            name, counters = peer.origin_host, peer.counters
            peers.add_metric([name], 1 if peer.state.is_open else 0)
            for (application, command), count in list(counters.requests_received.items()):
                received.add_metric([name, str(application), str(command)], count)
            for code, count in list(counters.answers_sent.items()):
                sent.add_metric([name, str(int(code))], count)
            for reason, count in list(counters.malformed.items()):
                malformed.add_metric([name, reason], count)
            stray.add_metric([name], counters.stray_answers)
        for reason, count in list(self.node.counters.malformed.items()):
            malformed.add_metric(["", reason], count)
        refused = CounterMetricFamily(
            "diameter_connections_refused", "Connections that did not come to be open.", labels=["reason"]
        )
        for reason, count in list(self.node.counters.refused.items()):
            refused.add_metric([reason], count)
        yield from (peers, received, sent, malformed, stray, refused)
        yield CounterMetricFamily(
            "diameter_connections_accepted", "TCP connections accepted.", value=self.node.counters.accepted
        )


class MetricsPage:
    """The HTTP page /metrics. Raises OSError when its address cannot be used."""

    def __init__(self, collector: Collector, host: str, port: int) -> None:
        registry = CollectorRegistry()
        registry.register(collector)
        self._server, self._thread = start_http_server(port, host, registry)
        self.port = self._server.server_port

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
