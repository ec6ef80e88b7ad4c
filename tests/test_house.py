"""What the house asks of every file and no linter knows."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
_PACKAGES = ("wgctl", "peers")
_MOST_LINES = 500
_LONGEST_FUNCTION = 40

# Floors of tests that mirror no module.
_OWN_FLOORS = {"system", "bench", "kernel", "examples", "systemd", "fuzz"}


def _modules() -> list[Path]:
    return [
        path.relative_to(_ROOT)
        for package in _PACKAGES
        for path in sorted((_ROOT / package).rglob("*.py"))
    ]


def _tested_modules() -> list[Path]:
    return [
        path
        for path in _modules()
        if path.name not in {"__init__.py", "__main__.py"} and "migrations" not in path.parts
    ]


def _readable() -> list[Path]:
    """Return the modules that people read from top to bottom: a migration is a list."""
    return [module for module in _modules() if "versions" not in module.parts]


def _mirror(module: Path) -> Path:
    """Return the test file of `module`: the floors of wgctl stand directly under tests."""
    folders = module.parts[1:-1] if module.parts[0] == "wgctl" else module.parts[:-1]
    return Path("tests", *folders, f"test_{module.name}")


def _tests() -> list[Path]:
    return [path.relative_to(_ROOT) for path in sorted((_ROOT / "tests").rglob("*.py"))]


def _test_files() -> list[Path]:
    return [
        path.relative_to(_ROOT)
        for path in sorted((_ROOT / "tests").rglob("test_*.py"))
        if path.parent != _ROOT / "tests" and path.relative_to(_ROOT).parts[1] not in _OWN_FLOORS
    ]


def _tree(path: Path) -> ast.Module:
    return ast.parse((_ROOT / path).read_text())


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of `function` from its `def` on, without its docstring."""
    assert function.end_lineno is not None
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None and first.end_lineno is not None:
        lines -= first.end_lineno - first.lineno + 1
    return lines


def _does_something(module: Path) -> bool:
    """Whether a function of `module` has more than the docstring that a Protocol's has."""
    return any(
        len(function.body) > 1 or ast.get_docstring(function) is None
        for function in _functions(_tree(module))
    )


def test_there_is_a_house() -> None:
    """The tests below would hold for an empty one."""
    assert len(_tested_modules()) > 50
    assert len(_test_files()) > 50


def test_every_module_that_does_something_has_its_test_file() -> None:
    without = [
        module
        for module in _tested_modules()
        if not (_ROOT / _mirror(module)).is_file() and _does_something(module)
    ]

    assert without == []


@pytest.mark.parametrize("target", ["venv", "demo", "bench", "bench-dns", "bench-gateway"])
def test_what_is_shown_or_measured_has_its_bytecode(target: str) -> None:
    """Where Python may write none, each command would compile all; none that is installed does."""
    would = subprocess.run(
        ["make", "--dry-run", target], cwd=_ROOT, capture_output=True, check=True, text=True
    )

    assert "-m compileall" in would.stdout


def test_every_test_file_has_its_module() -> None:
    """One of a subject, such as test_restore_refused.py, stands beside the module's own."""
    mirrors = {_mirror(module) for module in _tested_modules()}
    without = [
        file
        for file in _test_files()
        if file not in mirrors and not any(_is_subject(file, of=mirror) for mirror in mirrors)
    ]

    assert without == []


def _is_subject(file: Path, *, of: Path) -> bool:
    return file.parent == of.parent and file.stem.startswith(f"{of.stem}_")


def test_a_module_opens_with_what_it_knows() -> None:
    silent = [module for module in _readable() if not ast.get_docstring(_tree(module))]

    assert silent == []


def test_a_module_and_a_function_can_be_read_at_once() -> None:
    long_modules = {
        module: lines
        for module in [*_readable(), *_tests()]
        if (lines := len((_ROOT / module).read_text().splitlines())) > _MOST_LINES
    }
    long_functions = {
        (module, function.name): lines
        for module in _readable()
        for function in _functions(_tree(module))
        if (lines := _length(function)) > _LONGEST_FUNCTION
    }

    assert long_modules == {}
    assert long_functions == {}


def test_what_a_module_gives_is_sorted_and_there() -> None:
    """Constants first, then classes, then functions, as ruff sorts `__all__`; none twice."""
    for path in [*_modules(), *_test_files()]:
        tree = _tree(path)
        for names in _given(tree):
            assert names == sorted(set(names), key=_kind), path
            assert set(names) <= _bound(tree), path


def _given(tree: ast.Module) -> list[list[str]]:
    return [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets)
    ]


def _kind(name: str) -> tuple[int, str]:
    if name.isupper():
        return 0, name
    return (1, name) if name[0].isupper() else (2, name)


def _bound(tree: ast.Module) -> set[str]:
    """Return the names that the top of a module binds."""
    bound: set[str] = set()
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                bound.add(name)
            case ast.ClassDef(name=name):
                bound.add(name)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                bound.update((alias.asname or alias.name).split(".")[0] for alias in names)
            case ast.Assign(targets=targets):
                bound.update(target.id for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                bound.add(name)
            case _:
                pass
    return bound


def test_nothing_speaks_of_what_is_still_to_be_done() -> None:
    marks = ("TO" + "DO", "FIX" + "ME", "X" + "XX")
    found = [
        path
        for path in [*_modules(), *_test_files()]
        if any(mark in (_ROOT / path).read_text() for mark in marks)
    ]

    assert found == []


_SECRET = re.compile(
    r"(secret|token|bearer|hash|mac1?|digest|checksum|signature|private_key|preshared_key)"
)
"""How a value is named whose octets someone without it must not find one after the other."""


def _compared_as_they_come(tree: ast.AST) -> Iterator[str]:
    """Yield the comparisons of secrets that end at the first octet that differs.

    That with a constant in capitals asks whether there is one, and tells nothing else.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
            names = [_last_name(side) for side in (node.left, *node.comparators)]
            words = [name for name in names if _SECRET.fullmatch(name.rpartition("secret_")[2])]
            if words and not any(name.isupper() for name in names):
                yield ast.unparse(node)


def _last_name(side: ast.expr) -> str:
    match side:
        case ast.Call(func=func):
            return _last_name(func)
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


def test_secrets_are_compared_in_constant_time() -> None:
    """With hmac.compare_digest, as those of `peers.keys` do by themselves."""
    control = "a.secret_hash == b\nx != token\nmac.digest() == y\nhash == NONE\ntoken.name == z"
    found = {
        f"{module}: {comparison}"
        for module in _modules()
        for comparison in _compared_as_they_come(_tree(module))
    }

    assert list(_compared_as_they_come(ast.parse(control))) == [
        *("a.secret_hash == b", "x != token", "mac.digest() == y")
    ]
    assert found == set()
