"""The `ocs` command: reads options, calls the parts, prints. Decides nothing about charging."""

import sys

import msgspec
from redis.exceptions import RedisError

from ocs.charging.command import CommandRefused
from ocs.store.connection import StoreError
from ocs.store.embedded import EmbeddedStoreError
from ocs.store.work import StoreUnavailable
from ocs.yaml_tree import FileError

from .app import app
from .common import Failure, complain


def main() -> None:
    """Runs the command; what the user can do something about ends with a line that says so, and exit code 1."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except FileError as error:
        for problem in error.problems:
            complain(str(problem))
        sys.exit(1)
    except msgspec.MsgspecError as error:
        complain(f"something in the store cannot be read: {error}")
        sys.exit(1)
    except UnicodeEncodeError:
        complain("an argument is no valid text")
        sys.exit(1)
    except (Failure, CommandRefused, StoreError, EmbeddedStoreError, StoreUnavailable, RedisError, OSError) as error:
        complain(str(error) or type(error).__name__)
        sys.exit(1)


__all__ = ["app", "main"]
