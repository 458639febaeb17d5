"""The sample files are found in a checkout and in an installed package."""

from pathlib import Path

import pytest

from ocs import samples
from ocs.config import load_config
from ocs.rating.catalogue_file import load_catalogue
from ocs.samples import sample


def test_they_are_there_and_right() -> None:
    config = load_config(sample("ocs.yaml"))
    assert load_catalogue(config.charging.catalogue).currency == "EUR"


def test_an_installed_package_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "ocs"
    (package / "sample_config").mkdir(parents=True)
    (package / "sample_config" / "ocs.yaml").write_text("")
    monkeypatch.setattr(samples, "_PACKAGE", package)
    assert sample("ocs.yaml") == package / "sample_config" / "ocs.yaml"
    assert sample("catalogue.yaml") == tmp_path / "site-packages" / "config" / "catalogue.yaml"
