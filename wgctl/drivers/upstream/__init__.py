"""Upstream resolvers: sockets, patience, and one question at a time for all who ask it.

    forwarder   all upstreams: cache, one flight for a question, failover, probes
    |
    asking      one upstream: UDP first, then a connection; the case of letters
    |
    datagram    one question in one datagram
    connection  questions over TCP or TLS, many on one connection
    turnstile   what comes in a burst, one at a time

Whom to ask and what to believe is decided in `wgctl.core.forward`.
"""
