"""The outside: the kernel, sockets, files, other programs. What to do with each is decided above.

netlink/        links, addresses, routes, and the kernel's WireGuard
uapi            WireGuard that runs as a process, over its socket
wireguard_go    that process
nft             the firewall table, by the program nft
handshakes      handshake initiations as they arrive, from the kernel's log
sysctl          the kernel's IPv6 switches
memory          these, over a kernel that is a few values
|
tunnel_socket   sockets that hear the tunnel alone
batch           many datagrams in one system call
dns_datagrams   DNS over UDP at the ::3 of every network
kept            replies as they went over the wire
dns_server      DNS over TCP at the same addresses
dns_stream      DNS over streams, also from operators
upstream/       DNS that is asked elsewhere
host_resolvers  where this host asks itself
probe           one probe of a machine, through the tunnel
http_stream     HTTP connections of peers
https           those from elsewhere
tls             what TLS they have
tls_alpn        the proofs that a CA comes to see there
acme            how one is asked for a certificate
http_unix       HTTP connections over a Unix socket, with the user at their other end
http_whole      answers of both that go out at once
crowd           how many connections there may be
|
files           files that have their names only when they are whole
archive         the file of a back-up
lease_file      how leases stand, from the internal API to resolver and gateway
systemd         what a service tells systemd
processor       how soon the kernel lets a process run
|
own_tunnel      on a peer: where the API of its network is
own_check       on a peer: whether its program answers
child           on a peer: that program
"""
