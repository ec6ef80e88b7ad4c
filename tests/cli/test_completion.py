import subprocess
import sys

import pytest

from tests.cli.conftest import Wgctl


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(bare: Wgctl, shell: str) -> None:
    result = bare("completion", shell)

    assert result.exit_code == 0
    assert f"_WGCTL_COMPLETE={shell}_complete" in result.stdout


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("wgctl pe", "plain,peer"),
        ("wgctl peer re", "plain,rekey\nplain,remove"),
        ("wgctl peer add --ex", "plain,--expires"),
        ("wgctl peer add --dns f", "plain,full"),
        ("wgctl run int", "plain,internal-api"),
    ],
)
def test_words_are_completed_without_org_or_controller(words: str, found: str) -> None:
    command = "import sys; from wgctl.cli import main; sys.exit(main([]))"
    done = subprocess.run(
        [sys.executable, "-c", command],
        env={
            "_WGCTL_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout.strip(), done.stderr) == (found, "")
