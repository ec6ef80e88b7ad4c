"""The forms in which a tunnel is handed to the one who will use it.

Leaves the syntax of files to `peers.config` and writing them anywhere to the caller.

    wg_quick    a tunnel as a config that wg-quick and the WireGuard apps import
    qr          a text as a QR code: for the terminal, as PNG, as SVG
"""
