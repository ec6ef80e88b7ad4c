"""Asking elsewhere: whom, how long, what to believe of the reply, and what to keep of it.

    upstream    an upstream as the settings write it
    resolv_conf the upstreams that a host uses itself
    question    what is put to an upstream, and which questions are one
    health      which upstreams to ask, in which order, for how long
    answer      an upstream's message -> what may be believed and passed on
    sections    records as they come, compressed, and as they are passed on
    cache       what was believed, and what failed, for as long as that holds
    load        how much may be under way

A folder of its own, because none of it knows a network: the names are public, and what was found
for one network is there for all. `wgctl.core.responder` decides which names those are;
`wgctl.drivers.upstream` carries messages.
"""
