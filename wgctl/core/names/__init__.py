"""The names that a network has, and what stands at each.

    record_set      packed records of one name and type, and which of them an asker gets
    zone            a zone, its SOA, and a name in it
    branch          a name and what stands below it, put together when it is asked for
    special         zones of names that mean nothing beyond a private network; all empty
    app             <app>.internal and everything below it
    peers           _peer.internal and each peer below it
    reverse         the addresses of a network, as names

`wgctl.core.view` puts them together for one network, `wgctl.core.region` says what is near.
"""
