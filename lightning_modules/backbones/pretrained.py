"""Loading of pretrained weights from a hub, with one clear line of error where that fails."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from urllib.request import getproxies

from huggingface_hub import constants


class PretrainedUnavailableError(RuntimeError):
    """Pretrained weights are neither in the local cache nor reachable."""


def _hub_is_unreachable() -> bool:
    """Tell whether the hub's host does not answer at all; behind a proxy only the client itself can tell."""
    if getproxies():
        return False
    try:
        socket.create_connection((urlsplit(constants.ENDPOINT).hostname, 443), timeout=5).close()
    except OSError:
        return True
    return False


@contextmanager
def pretrained_weights(name: str) -> Iterator[None]:
    """Turn whatever a hub client raises while it loads the weights of ``name`` into one line that says what to do.

    Without a network the client is put into its offline mode, so that cached weights load and missing ones fail at
    once: it would retry for most of a minute otherwise.

    Raises:
        PretrainedUnavailableError: for any failure to fetch or read the weights.
    """
    was_offline = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = was_offline or _hub_is_unreachable()
    try:
        yield
    except Exception as error:  # hub clients raise dozens of unrelated types: requests, httpx, OSError, their own
        raise PretrainedUnavailableError(
            f"pretrained weights of `{name}` are unavailable ({type(error).__name__}): connect once, or point HF_HOME "
            "to a cache that holds them, or start from a file with `--model.init_args.pretrained FILE`, or from random "
            "weights with `--model.init_args.pretrained false`"
        ) from error
    finally:
        constants.HF_HUB_OFFLINE = was_offline
