"""An independent dissector finds nothing wrong with what simulated gateways send."""

import pytest

from aiodiameter.codec import encode
from simulators.load_session import LoadSession
from tests.interop.tshark import dissect
from tests.simulators.gy import granted, line, open5gs_line, writer

EMPTY_GROUP = "Data is empty"
"""A Requested-Service-Unit without content leaves the amount to the server (RFC 8506 §8.18)."""


@pytest.mark.needs("tshark")
def test_every_kind_of_request() -> None:
    strict, smf = line(at_start=(10, 30)), open5gs_line()
    strict.start()
    strict.answer(granted(10, 100), granted(30, 100))
    strict.use(10, 100)
    strict.pass_time(10)  # a repetition
    strict.answer(granted(10, 100))
    strict.stop()
    smf.start()
    smf.answer(granted(None, 100))
    smf.use(None, 100)
    smf.answer(granted(None, 100))
    smf.stop()
    load = LoadSession(writer(requested=65_536), (10, 30), 65_536)
    frames = [encode(sent.request) for sent in (*strict.sent, *smf.sent)]
    frames.append(load.initial(1, 1))
    load.opened("ocs.example.org")
    frames += [load.update(2, 2), load.termination(3, 3)]
    for message in dissect(frames):
        assert [text for text in message.complaints if EMPTY_GROUP not in text] == [], message.text
