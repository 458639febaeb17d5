"""Every command in the README and the guides is run, in the order in which a reader would, in an empty folder.

`ocs serve --dev` runs for the rest of its document, on a free port that the following commands are told; `make` targets
are only checked to exist, since this test itself is run by one (`.ci/run` runs the others).
"""

import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = ["README.md", "docs/getting-started.md", "docs/operations.md", "CONTRIBUTING.md"]
_BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def commands(document: str) -> list[str]:
    text = (ROOT / document).read_text()
    return [
        line.removeprefix("$ ")
        for block in _BLOCK.findall(text)
        for line in block.splitlines()
        if line.startswith("$ ")
    ]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


class Reader:
    """Does what a document says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.server: subprocess.Popen[bytes] | None = None
        shutil.copytree(ROOT / "config", folder / "config")

    def do(self, command: str) -> None:
        words = shlex.split(command)
        if words[0] == "make":
            targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            assert words[1] in targets, f"there is no target {words[1]}"
        elif words[:2] == [".", ".venv/bin/activate"]:
            pass
        elif words[:2] == ["ocs", "serve"]:
            self.serve([*words[1:], "--port", str(self.port), "--metrics-port", "0"])
        elif words[0] == "ocs":
            more = ["--port", str(self.port)] if words[1] == "simulate" else []
            result = subprocess.run(
                [sys.executable, "-m", "ocs", *words[1:], *more],
                cwd=self.folder, capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
            assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
            assert "Traceback" not in result.stderr
        else:
            pytest.fail(f"nobody knows how to test this command: {command}")

    def serve(self, words: list[str]) -> None:
        log = self.folder / "server.log"
        with log.open("wb") as stderr:
            self.server = subprocess.Popen([sys.executable, "-m", "ocs", *words], cwd=self.folder, stderr=stderr)
        for _ in range(600):
            if '"ready"' in log.read_text():
                return
            try:
                self.server.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            break
        pytest.fail(f"the server did not start:\n{log.read_text()}")

    def close(self) -> None:
        if self.server is not None:
            self.server.send_signal(signal.SIGTERM)
            assert self.server.wait(60) == 0


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if (ROOT / d).exists()])
def test_the_commands_of_a_document(document: str, tmp_path: Path) -> None:
    found = commands(document)
    assert found, "a guide without commands"
    reader = Reader(tmp_path)
    try:
        for command in found:
            reader.do(command)
    finally:
        reader.close()


def test_links_lead_somewhere() -> None:
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("diameter/*.md")]:
        for link in _LINK.findall(path.read_text()):
            assert (path.parent / link).exists(), f"{path.relative_to(ROOT)} links to {link}, which is not there"


def test_the_readme_fits_what_it_promises() -> None:
    """Its first screen runs the product."""
    assert "make demo" in "\n".join((ROOT / "README.md").read_text().splitlines()[:24])
