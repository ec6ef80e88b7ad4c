"""wgctl: private networks over WireGuard that an organisation runs itself.

Imports go down only; two floors on one line do not know each other.

    cli                  one file per noun: parses, prints, exits
    daemon               the only place that joins real parts; one entry per role
    api     |  client    HTTP in | HTTP out
    services             use cases: one function each, one transaction each
    store   |  drivers   SQL | kernel, nftables, sockets, files
    core                 decisions: values in, values out
    peers                WireGuard itself (a package of its own, beside this one)
"""

__version__ = "0.1.0"
