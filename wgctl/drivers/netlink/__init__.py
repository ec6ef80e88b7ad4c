"""The kernel's own interfaces over netlink: links, addresses, routes, WireGuard.

links           links, addresses and routes, with pyroute2
wireguard       WireGuard devices: talks
|
encode          steps -> the bytes of SET_DEVICE
decode          the bytes of GET_DEVICE -> the device, and what it saw
generic         one request of a generic netlink family, and its whole answer
|
messages        datagrams <-> messages, and what ends an answer
attributes      values <-> attributes
vocabulary      the numbers of WireGuard's family
"""
