"""WireGuard itself: keys, names, addresses and config files, as values that cannot be wrong.

Who owns what, what is stored and what the kernel holds are `wgctl`'s.

                   formats               a tunnel as the config of a program; a text as a QR code
                      |
                    config               the model of a wg-quick file, and back
                      |
                    syntax  seal  noise  its lines and values; a key that one gateway can open; who
                      |      |      |    begins a handshake with it
    addresses    endpoint    keys        prefix arithmetic; host:port; the three kinds of key
        |             |        |
        |             |        |  names  labels, interface names, metadata
        +-------------+--------+----+
                      |
                    errors               what a refusal is, and how foreign text is shown

Nothing here opens a file, a socket or a clock. Making a key is the one use of randomness.
"""
