"""The kernel's own interfaces over netlink: links, addresses, routes, WireGuard.

links           links, addresses and routes, with pyroute2
wireguard       WireGuard devices: talks
watch           of which part the kernel tells that it changed
generation      which state nftables' rules are in
|
addressing      steps -> the bytes of addresses and routes, and back
encode          steps -> the bytes of SET_DEVICE
decode          the bytes of GET_DEVICE -> the device, or what it saw
usual           many peers of one form at a stroke
generic         the commands of a generic netlink family
|
exchange        requests over a socket, one or many at once, and what comes back
messages        datagrams <-> messages, and what ends an answer
attributes      values <-> attributes
vocabulary      the numbers of WireGuard's family
"""
