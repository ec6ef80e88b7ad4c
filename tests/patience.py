"""How long a test waits for what has to come, on however busy a machine."""

HANG_S = 120.0
"""What has not come by then never will."""
