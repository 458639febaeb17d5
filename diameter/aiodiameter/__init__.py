"""An asyncio Diameter stack (RFC 6733): codec, messages, peer state machine, watchdog, node.

Knows nothing of charging. A message is a typed class with one attribute per AVP; a node listens and connects.
"""
