"""The seams where a second implementation exists, as Protocols over values.

Speaks of devices and of kept rows, never of sockets: those are the drivers' own.
"""

__all__: list[str] = []
