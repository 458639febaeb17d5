"""Our top-level folder `diameter` bears the name of the PyPI library that it must never hide (PEP 420).

`diameter/` is a shelf without `__init__.py`; our code on it is `aiodiameter`; `import diameter` is the library.
"""

import ast
import email
import importlib.metadata
import importlib.util
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOURCES = [ROOT / "ocs", ROOT / "diameter", ROOT / "policy", ROOT / "simulators"]


def python(*arguments: str, cwd: Path = ROOT, **environment: str) -> str:
    """The output of another interpreter that starts in the folder, as `python -m ocs` does."""
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


class TestTheShelf:
    """Nobody makes a package of the shelf."""

    def test_it_is_no_package(self) -> None:
        assert not (ROOT / "diameter" / "__init__.py").exists(), "this would hide the library python-diameter"
        assert [path.name for path in (ROOT / "diameter").glob("[!._]*")] == ["aiodiameter"]

    def test_no_test_folder_bears_the_librarys_name(self) -> None:
        assert not [path for path in (ROOT / "tests").rglob("diameter*") if path.is_dir() or path.name == "diameter.py"]

    @pytest.mark.parametrize("cwd", [ROOT, ROOT / "tests", ROOT / "ocs"], ids=lambda path: path.name or "root")
    def test_the_library_is_found_wherever_python_starts(self, cwd: Path) -> None:
        """With the working directory first on the path, as `-c` and `-m` put it."""
        where = python("-c", "import diameter, diameter.node; print(diameter.__file__)", cwd=cwd)
        assert Path(where).is_file()
        assert ROOT / "diameter" not in Path(where).parents
        assert importlib.metadata.packages_distributions()["diameter"] == ["python-diameter"]

    def test_ours_is_found_beside_it(self) -> None:
        where = python("-c", "import aiodiameter.dictionary as d; print(d.__file__, d.facts_of('Session-Id').code)")
        assert where.endswith("aiodiameter/dictionary.py 263")

    def test_the_server_starts_as_a_module(self) -> None:
        assert "Usage" in python("-m", "ocs", "--help", NO_COLOR="1", COLUMNS="100")


def test_only_the_dictionary_imports_the_library() -> None:
    users = {
        path.relative_to(ROOT).as_posix()
        for source in SOURCES
        for path in source.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "diameter" for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == "diameter")
    }
    assert users == {"diameter/aiodiameter/dictionary.py"}


def test_what_is_imported_is_declared() -> None:
    """Every library that our code imports is a dependency of ours, not only of another dependency."""
    distributions = importlib.metadata.packages_distributions()
    declared = {
        requirement.split("[")[0].split(">")[0].strip().lower() for requirement in PROJECT["project"]["dependencies"]
    } | {"hiredis", "pydantic-core"}  # of redis[hiredis]; pydantic's own errors live in the second
    missing = set()
    for source in SOURCES:
        for path in source.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and not node.level and node.module:
                    names = [node.module]
                for top in {name.split(".")[0] for name in names} - sys.stdlib_module_names:
                    owners = {owner.lower().replace("_", "-") for owner in distributions.get(top, [])}
                    ours = top in {"ocs", "aiodiameter", "policy", "simulators"}
                    if not ours and not owners & declared:
                        missing.add(f"{path.relative_to(ROOT)} imports {top} of {owners or 'nobody'}")
    assert not missing


def test_typed() -> None:
    """PEP 561: whoever imports us sees our annotations."""
    assert (ROOT / "ocs" / "py.typed").exists()
    assert (ROOT / "diameter" / "aiodiameter" / "py.typed").exists()


def test_the_installed_version_is_the_one_declared() -> None:
    assert importlib.metadata.version(PROJECT["project"]["name"]) == PROJECT["project"]["version"]


def test_the_version_is_written_once() -> None:
    version = PROJECT["project"]["version"]
    quoted = {f'"{version}"', f"'{version}'"}
    assert not [
        path for source in SOURCES for path in source.rglob("*.py") if any(one in path.read_text() for one in quoted)
    ]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed, and without a network pip cannot fetch it")
    folder = tmp_path_factory.mktemp("wheel")
    name = python("-c", f"import hatchling.build; print(hatchling.build.build_wheel({str(folder)!r}))").splitlines()[-1]
    return zipfile.ZipFile(folder / name)


class TestTheWheel:
    """What `pip install` puts on a machine."""

    def test_it_holds_the_packages_and_nothing_else(self, wheel: zipfile.ZipFile) -> None:
        tops = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" not in name}
        assert tops == {"ocs", "aiodiameter", "policy", "simulators"}

    def test_every_module_is_in_it(self, wheel: zipfile.ZipFile) -> None:
        names = set(wheel.namelist())
        for source in SOURCES:
            shelf = source if source.name == "diameter" else ROOT
            for path in source.rglob("*"):
                hidden = any(part.startswith((".", "__pycache__")) for part in path.relative_to(ROOT).parts)
                if path.is_file() and not hidden:
                    assert path.relative_to(shelf).as_posix() in names

    def test_the_sample_configuration_is_in_it(self, wheel: zipfile.ZipFile) -> None:
        for path in (ROOT / "config").rglob("*"):
            if path.is_file():
                assert f"ocs/sample_config/{path.relative_to(ROOT / 'config').as_posix()}" in wheel.namelist()

    def test_its_metadata(self, wheel: zipfile.ZipFile) -> None:
        [name] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = email.message_from_bytes(wheel.read(name))
        assert (metadata["Name"], metadata["Version"]) == (PROJECT["project"]["name"], PROJECT["project"]["version"])
        assert metadata["License-Expression"] == "Apache-2.0"
        [entry_points] = [name for name in wheel.namelist() if name.endswith(".dist-info/entry_points.txt")]
        assert "ocs = ocs.cli:main" in wheel.read(entry_points).decode()
        assert any(name.endswith("/LICENSE") for name in wheel.namelist())

    def test_it_works_where_nothing_else_of_ours_is(self, wheel: zipfile.ZipFile, tmp_path: Path) -> None:
        """Unpacked into an empty folder: the library and our stack beside each other."""
        wheel.extractall(tmp_path)
        program = "import diameter, aiodiameter.dictionary as d, ocs.cli; print(d.__file__); print(diameter.__file__)"
        ours, theirs = python("-c", program, cwd=tmp_path, PYTHONPATH=str(tmp_path)).splitlines()
        assert tmp_path in Path(ours).parents
        assert tmp_path not in Path(theirs).parents
        assert ROOT / "diameter" not in Path(theirs).parents
