"""The kernel's own interfaces over netlink: links, addresses, routes, WireGuard.

wireguard       WireGuard devices: talks
links           links, addresses and routes: talks
|
encode          steps -> the bytes of SET_DEVICE
decode          the bytes of GET_DEVICE -> the device, and what it saw
routing         requests of rtnetlink, and what their answers say
|
generic         one request of a generic netlink family, and its whole answer
talk            one request, and its whole answer
|
messages        datagrams <-> messages, and what ends an answer
attributes      values <-> attributes
"""
