"""What a node counts, as plain integers: read them at any time, from the thread of the event loop.

Knows no metrics library. Keys come from closed sets, so that a peer cannot make a counter grow without bound.
"""

from collections import defaultdict

OTHER = 0
"""The Result-Code under which a peer's codes are counted once it has used `MAX_CODES` different ones."""
MAX_CODES = 256


class PeerCounters:
    """Since the peer was first met, over all its connections."""

    def __init__(self) -> None:
        self.connections = 0
        """Connections that came to be open."""
        self.disconnections: defaultdict[str, int] = defaultdict(int)
        """By reason."""
        self.requests_received: defaultdict[tuple[int, int], int] = defaultdict(int)
        """By (application, command); requests of unknown commands are in `malformed`."""
        self.answers_sent: defaultdict[int, int] = defaultdict(int)
        """By Result-Code; 0 for an answer with an Experimental-Result instead."""
        self.requests_sent: defaultdict[tuple[int, int], int] = defaultdict(int)
        """By (application, command)."""
        self.answers_received: defaultdict[int, int] = defaultdict(int)
        """By Result-Code."""
        self.malformed: defaultdict[str, int] = defaultdict(int)
        """Messages that could not be processed, by the name of the Result-Code, or `truncated`."""
        self.stray_answers = 0
        """Answers received that no request of ours waits for (any more); they are dropped."""
        self.unsent_answers = 0
        """Answers whose connection had gone when they were ready."""
        self.timeouts = 0
        """Requests of ours that got no answer in time."""

    def count_received(self, result_code: int) -> None:
        """Count an answer of the peer; its codes are the peer's choice, so their number is limited."""
        if result_code in self.answers_received or len(self.answers_received) < MAX_CODES:
            self.answers_received[result_code] += 1
        else:
            self.answers_received[OTHER] += 1


class NodeCounters:
    """Connections, before it is known whose they are."""

    def __init__(self) -> None:
        self.accepted = 0
        """TCP connections accepted."""
        self.refused: defaultdict[str, int] = defaultdict(int)
        """Accepted connections that did not come to be open, by reason."""
        self.malformed: defaultdict[str, int] = defaultdict(int)
        """As `PeerCounters.malformed`, on connections that were not open."""
