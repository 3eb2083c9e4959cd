"""Reads what the command line offers off the files of `cli` without running them: help without an environment.

Standard library only.
"""

import ast
import textwrap
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
INTRODUCTION = "A pizza chain run by events, on this machine. Start with: ./sliceline up"
WIDTH = 100


def commands() -> dict[str, ast.FunctionDef]:
    """Return the commands that `__main__` imports, each from a file of its own name."""
    main = ast.parse((HERE / "__main__.py").read_text())
    imported = (each for each in main.body if isinstance(each, ast.ImportFrom) and len(each.names) == 1)
    named = [each.names[0].name for each in imported if _is_command(each)]
    return {name.replace("_", "-"): _function(name) for name in named}


def overview() -> str:
    """Write the help of all commands, a line each."""
    lines = [f"  {name:<14}{_sentence(function)}" for name, function in commands().items()]
    usage = "Usage: ./sliceline COMMAND [ARGS]...      ./sliceline COMMAND --help says more of one"
    version = "  --version     Tell the version."
    return "\n".join([INTRODUCTION, "", usage, "", *lines, "", version])


def help_of(name: str) -> str:
    """Write the help of one command: what it does, and its arguments and options."""
    function = commands()[name]
    about = [textwrap.fill(part, WIDTH) for part in (ast.get_docstring(function) or "").split("\n\n")]
    return "\n\n".join([f"Usage: ./sliceline {name}", *about, "\n".join(_parameters(function))]).rstrip()


def _is_command(imported: ast.ImportFrom) -> bool:
    return imported.module == f"cli.{imported.names[0].name}"


def _function(name: str) -> ast.FunctionDef:
    body = ast.parse((HERE / f"{name}.py").read_text()).body
    return next(each for each in body if isinstance(each, ast.FunctionDef) and each.name == name)


def _sentence(function: ast.FunctionDef) -> str:
    return (ast.get_docstring(function) or "").split("\n\n")[0].replace("\n", " ")


def _parameters(function: ast.FunctionDef) -> Iterator[str]:
    for argument in function.args.args:
        if isinstance(argument.annotation, ast.Subscript) and isinstance(argument.annotation.slice, ast.Tuple):
            yield from _parameter(argument.arg, argument.annotation.slice.elts[1])


def _parameter(name: str, told: ast.expr) -> Iterator[str]:
    """Yield the line about one `typer.Argument(...)` or `typer.Option(...)`."""
    assert isinstance(told, ast.Call) and isinstance(told.func, ast.Attribute)  # noqa: S101, PT018 (all of ours are)
    keywords = {each.arg: str(each.value.value) for each in told.keywords if isinstance(each.value, ast.Constant)}
    given = [each.value for each in told.args if isinstance(each, ast.Constant)]
    option = ", ".join(map(str, given)) or f"--{name.replace('_', '-')}"
    shown = option if told.func.attr == "Option" else keywords.get("metavar") or name.upper()
    yield f"  {shown:<24}{keywords.get('help', '')}"
