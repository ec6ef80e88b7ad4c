"""The numbers of WireGuard's netlink family, as linux/wireguard.h gives them.

Numbers alone: what is made of them is `encode` and `decode`.
"""

from enum import IntEnum, IntFlag

__all__ = [
    "FAMILY",
    "KEY_BYTES",
    "KIND",
    "NO_KEY",
    "AllowedIPAttribute",
    "Command",
    "DeviceAttribute",
    "PeerAttribute",
    "PeerFlag",
]

FAMILY = "wireguard"
KIND = "wireguard"
"""The kind of link that a device is."""

KEY_BYTES = 32

NO_KEY = bytes(KEY_BYTES)
"""How the kernel tells, and is told, that there is no key."""


class Command(IntEnum):
    """enum wg_cmd."""

    GET_DEVICE = 0
    SET_DEVICE = 1


class DeviceAttribute(IntEnum):
    """enum wgdevice_attribute, as far as it is used here."""

    NAME = 2
    PRIVATE_KEY = 3
    LISTEN_PORT = 6
    PEERS = 8


class PeerAttribute(IntEnum):
    """enum wgpeer_attribute, as far as it is used here."""

    PUBLIC_KEY = 1
    PRESHARED_KEY = 2
    FLAGS = 3
    ENDPOINT = 4
    KEEPALIVE_INTERVAL = 5
    LAST_HANDSHAKE = 6
    RECEIVED_BYTES = 7
    SENT_BYTES = 8
    ALLOWED_IPS = 9
    PROTOCOL_VERSION = 10


class PeerFlag(IntFlag):
    """enum wgpeer_flag, as far as it is used here."""

    REMOVE = 1
    REPLACE_ALLOWED_IPS = 2
    UPDATE_ONLY = 4


class AllowedIPAttribute(IntEnum):
    """enum wgallowedip_attribute, as far as it is used here."""

    FAMILY = 1
    ADDRESS = 2
    PREFIX_LENGTH = 3
