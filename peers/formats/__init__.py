"""The forms in which a tunnel is handed to the one who will use it.

Leaves the syntax of wg-quick files to `peers.config` and writing them anywhere to the caller.

    wg_quick    networkd    networkmanager    json     a tunnel as the config of that program
        |           |             |             |
        |           +----- ini ---+             |      sections of key=value
        +-----------+-------------+-------------+
                           tunnel                      what a peer must know

    existing        whose a config is that was made elsewhere
    qr              a text as a QR code: for the terminal, as PNG, as SVG
"""
