"""`wgctl completion`: the script that teaches a shell our words.

The script itself is click's.
"""

import click
from click.shell_completion import get_completion_class

from wgctl.cli.command import Verb
from wgctl.core.errors import Invalid

__all__ = ["completion", "script"]


@click.command(
    cls=Verb,
    examples=[
        "wgctl completion bash > /etc/bash_completion.d/wgctl",
        "wgctl completion zsh > ~/.zfunc/_wgctl",
        "wgctl completion fish > ~/.config/fish/completions/wgctl.fish",
    ],
)
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for a shell."""
    click.echo(script(shell, ctx.find_root().command))


def script(shell: str, command: click.Command) -> str:
    """Return the script for bash, zsh or fish that completes what follows `wgctl`.

    Raises Invalid for another shell.
    """
    found = get_completion_class(shell)
    if found is None:
        raise Invalid(f"no completion for {shell}")
    return found(command, {}, "wgctl", "_WGCTL_COMPLETE").source()
