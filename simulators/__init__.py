"""The other side of the wire: gateways that behave as gateways do, their subscribers, and load.

Speaks to a charging server as any peer does and knows nothing of how it is made. Begin reading at `pgw` (one session),
`gateway` (many, on connections), `load` (as many requests as possible) and `simulate` (all of it in one call).
"""
