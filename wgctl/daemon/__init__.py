"""The only place that joins real parts: one entry for each role, and what a host does once.

supervisor      wgctl serve: every role of this host
roles           wgctl run ROLE: which entry a role has
|
controller      store, feed and API
gateway         copy, netlink, WireGuard, nftables
resolver        copy, views, probes, upstreams, streams, and the processes that answer datagrams
internal_api    copy, leases, port 4280
|
follow          feed -> copy, for ever
reports         where a role stands, and what it saw -> the controller
agenda          when a gateway passes over everything, and looks at its table
programme       copy -> kernel, and drift repaired
demand          on demand: which rows of the copy are programmed
hearing         handshake initiations -> peers that are let in
telling         what a gateway saw of its peers, and that it is alive -> the controller
devices         the WireGuard device: the kernel's, or a process
userspace       wireguard-go as a service of its own, where the kernel has no WireGuard
views           rows, health, leases and time -> what each network may resolve
workers         the processes of the resolver that answer datagrams
answering       one of them: copy -> views -> datagrams
forwarding      the upstreams of the settings, and how they do
health          checks of the copy -> who is left out of the answers
rounds          when each probe is due
ledger          what is remembered of each machine
leases          what peers announce -> the controller, and a file for resolver and gateway
endings         that file -> which machines a gateway sends nothing new
|
unix            the roles' sockets
remote          the API's listener for those who come from elsewhere
certificates    what it shows them
issuing         a certificate of a CA, kept and renewed
users           the roles' users
leaving         ephemeral peers whose time is over
life            signals; signs of life for systemd
logs            events with fields, on stderr
locks           one controller a state folder
|
announcer       wgctl machine announce: the lease of a program on a peer
initialise      wgctl init
backup          wgctl backup
restore         wgctl restore
doctor          wgctl doctor
|
unpack          a back-up in a folder of our own, checked and opened
succession      a store in the place of another
"""
