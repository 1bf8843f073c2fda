"""The house rules: which way imports go, what is documented, how large things may get."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import pytest
import typer
from pydantic import BaseModel

from adapters import names
from bridge.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("bridge", "adapters", "tasks")
LONGEST_MODULE = 300


def modules(package: str) -> Iterator[tuple[str, Path]]:
    """Every module of a package with its dotted name."""
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def sources() -> list[Path]:
    return [path for package in (*PACKAGES, "tests") for path in (ROOT / package).rglob("*.py")]


def test_imports_go_down_the_stairs_only() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [lint, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_is_imported_by_what_it_imports(package: str) -> None:
    known = dict(modules(package))
    edges = {name: sorted(_imported(name, path, known)) for name, path in known.items()}
    assert not (circle := _circle(edges)), " -> ".join(circle)


def _imported(name: str, path: Path, known: dict[str, Path]) -> set[str]:
    """Modules of the same package that a module imports when it is loaded itself."""
    found = set()
    for node in _at_import(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            # `from package import module` needs the module, not what else is in the package
            found |= inner & known.keys() or {node.module}
    # a package's own rooms may be imported by its __init__, and need it only as a name
    return {one for one in found & known.keys() if one != name and not name.startswith(f"{one}.")}


def _at_import(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes that run when a module is loaded: no functions, nothing for type checkers only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _at_import(node)


def _circle(edges: dict[str, list[str]]) -> list[str]:
    """One circle in a graph, or nothing."""
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for each in edges[name]:
            if found := walk(each, [*path, name]):
                return found
        done.add(name)
        return []

    return next((found for name in edges if (found := walk(name, []))), [])


def test_a_circle_would_be_found() -> None:
    assert _circle({"a": ["b"], "b": ["c"], "c": ["b"]}) == ["b", "c", "b"]
    assert _circle({"a": ["b", "c"], "b": ["c"], "c": []}) == []


@pytest.mark.parametrize("package", ["bridge", "tasks"])
def test_no_platform_is_named_where_all_are_meant(package: str) -> None:
    platforms = re.compile("|".join(names()), re.IGNORECASE)
    named = [
        f"{path.relative_to(ROOT)}: {word}"
        for _, path in modules(package)
        for word in _words(ast.parse(path.read_text()))
        if platforms.search(word)
    ]
    assert not named


def _words(tree: ast.Module) -> Iterator[str]:
    """Names and texts of the code; docstrings and help texts may name platforms as examples."""
    told = {id(node) for node in _told(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.value
        for field in ("id", "name", "attr", "arg", "module"):
            if isinstance(value := getattr(node, field, None), str):
                yield value


def _told(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            yield node.value
        if isinstance(node, ast.keyword) and node.arg in {"help", "epilog"}:
            yield node.value


def test_no_file_says_where_packages_come_from() -> None:
    address = re.compile("py" + r"pi\.(?:org|python)|python" + r"hosted|(?:extra-)?index-url *=")
    files = [*sources(), *ROOT.glob("*.*"), *ROOT.glob("Makefile"), *ROOT.glob(".ci/*")]
    files += [*ROOT.glob("lock/*"), *ROOT.glob("docs/**/*.md")]
    said = [path.name for path in files if path.is_file() and address.search(_text(path))]
    assert not said


def _text(path: Path) -> str:
    return path.read_text(errors="replace")


def test_no_module_is_longer_than_a_reader_bears() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for package in PACKAGES
        for _, path in modules(package)
    }
    assert not {name: length for name, length in lengths.items() if length > LONGEST_MODULE}


def test_every_setting_is_in_the_documentation() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    keys = set(_keys(Settings)) - {"options"}  # what an account leaves to its adapter
    assert keys > {"working_time", "notifications", "bypass", "from"}
    assert not {key for key in keys if not re.search(rf"`\[*{key}[\].`]", text)}


def _keys(model: type[BaseModel]) -> Iterator[str]:
    """All keys of a model and of the models in it, as config writes them."""
    for name, field in model.model_fields.items():
        yield str(field.validation_alias or name)
        for inner in _models(field.annotation):
            yield from _keys(inner)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in {tuple, dict, list, Union, UnionType}:
        for one in get_args(annotation):
            if one is not NoneType:
                yield from _models(one)


def test_every_command_is_in_the_documentation() -> None:
    from tasks.cli import app

    text = (ROOT / "docs" / "commands.md").read_text()
    commands = list(_commands(typer.main.get_command(app), "chatbridge"))
    assert "chatbridge deliveries list" in commands
    assert not [one for one in commands if not re.search(rf"^\| `{one}[` ]", text, re.MULTILINE)]


def _commands(command: Any, name: str) -> Iterator[str]:
    if not hasattr(command, "commands"):
        yield name
        return
    for inner, one in command.commands.items():
        yield from _commands(one, f"{name} {inner}")


def test_every_option_of_a_command_is_told_by_its_help() -> None:
    from tasks.cli import app

    def silent(command: Any, name: str) -> Iterator[str]:
        for each, one in getattr(command, "commands", {}).items():
            yield from silent(one, f"{name} {each}")
        if not command.help:
            yield name
        yield from (f"{name} {one.name}" for one in command.params if not one.help)

    assert not list(silent(typer.main.get_command(app), "chatbridge"))


def test_what_the_readme_tells_to_make_is_what_every_change_must_pass() -> None:
    readme, change = ROOT / "README.md", ROOT / ".ci" / "run"
    if not (readme.exists() and change.exists()):
        pytest.skip("they are not written yet")
    told = set(re.findall(r"^make ([a-z-]+)", readme.read_text(), re.MULTILINE))
    made = set(re.findall(r"^make ([a-z-]+)", change.read_text(), re.MULTILINE))
    assert told
    assert not {one for one in told if not {one, f"{one}-check"} & made}


def test_every_dependency_has_a_reason() -> None:
    path = ROOT / "docs" / "dependencies.md"
    if not path.exists():
        pytest.skip("it is not written yet")
    rows = [row for row in path.read_text().splitlines() if row.startswith("| ")]
    reasons = {name.strip() for row in rows for name in row.split("|")[1].split(",")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    packages = [re.split(r"[\[<>=~! ;]", one)[0] for one in project["dependencies"]]
    assert not set(packages) - reasons
