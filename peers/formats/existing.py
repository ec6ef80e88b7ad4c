"""Configs that were made elsewhere: whose they are, by the private key in them.

Takes nothing else from them but the interface's name; who reads the file is the caller.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import peers.config
from peers.errors import InvalidConfig, InvalidKey, InvalidName
from peers.formats.ini import parsed
from peers.keys import PrivateKey
from peers.names import parse_interface

__all__ = ["Existing", "parse"]


@dataclass(frozen=True, slots=True)
class Existing:
    """What a config says of its own side.

    `format` is `wg-quick`, `networkd` or `networkmanager`; `interface` None: it names none, or one
    that `peers.names.parse_interface` does not take.
    """

    format: str
    private_key: PrivateKey
    interface: str | None


def parse(text: str, *, suffix: str) -> Existing:
    """Read a config whose file's name ends in `suffix`; without a known one it is wg-quick's.

    Raises InvalidConfig for what is no such config, and with the cure where the key is elsewhere.
    """
    return _READERS.get(suffix.lower(), _wg_quick)(text)


def _wg_quick(text: str) -> Existing:
    return Existing("wg-quick", peers.config.parse(text).interface.private_key, None)


def _networkd(text: str) -> Existing:
    values = _required(text, "WireGuard")
    if "PrivateKey" not in values and "PrivateKeyFile" in values:
        raise InvalidConfig(
            "[WireGuard] has a PrivateKeyFile: give the public half of the key that is in there, "
            'wgctl peer add NAME --public-key "$(wg pubkey < FILE)"'
        )
    interface = _interface(_required(text, "NetDev").get("Name", ""))
    return Existing("networkd", _key(values, "PrivateKey", "WireGuard"), interface)


def _networkmanager(text: str) -> Existing:
    values = _required(text, "wireguard")
    interface = _interface(_required(text, "connection").get("interface-name", ""))
    return Existing("networkmanager", _key(values, "private-key", "wireguard"), interface)


_READERS: Mapping[str, Callable[[str], Existing]] = {
    ".netdev": _networkd,
    ".nmconnection": _networkmanager,
}


def _required(text: str, section: str) -> Mapping[str, str]:
    for name, values in parsed(text):
        if name == section:
            return values
    raise InvalidConfig(f"no [{section}] section, expected one")


def _interface(text: str) -> str | None:
    try:
        return parse_interface(text)
    except InvalidName:
        return None


def _key(values: Mapping[str, str], key: str, section: str) -> PrivateKey:
    if key not in values:
        raise InvalidConfig(f"no {key} in [{section}], expected one in the file itself")
    try:
        return PrivateKey.parse(values[key])
    except InvalidKey as error:
        raise InvalidConfig(f"{key} in [{section}]: {error}") from error
