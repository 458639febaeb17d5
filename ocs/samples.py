"""Where the sample configuration and catalogue lie: beside the packages in a checkout, inside a wheel's package."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def sample(name: str) -> Path:
    """The path of a file of the `config` folder, such as `catalogue.yaml`."""
    installed = _PACKAGE / "sample_config" / name
    return installed if installed.exists() else _PACKAGE.parent / "config" / name
