"""How head and workers reach each other, and who else cannot."""

from __future__ import annotations

__all__ = ("cluster_options",)

import logging
import ssl
from collections.abc import Mapping
from typing import Any

from distributed.security import Security

from ..model import InputError, TlsSpec, WorkersSpec

_LOG = logging.getLogger(__name__)

_ROLES = ("scheduler", "worker", "client")


def cluster_options(spec: WorkersSpec) -> Mapping[str, Any]:
    """Return what Dask's cluster is told of addresses and certificates.

    Parameters
    ----------
    spec
        What the site says.

    Raises
    ------
    InputError
        If a certificate cannot be used.

    Notes
    -----
    What comes over one of Dask's connections is unpickled, so whoever can open one can run code here.
    Nothing listens beyond the machine without TLS, which a `WorkersSpec` refuses.
    """
    options: dict[str, Any] = {"host": spec.host, "scheduler_port": spec.port, "protocol": "tcp://"}
    if spec.tls is not None:
        options |= {"protocol": "tls://", "security": _security(spec.tls)}
    return options


def _security(tls: TlsSpec) -> Security:
    for name in ("ca_file", "cert", "key"):
        path = getattr(tls, name)
        try:
            mode = path.stat().st_mode
        except OSError as err:
            raise InputError(f"workers.tls.{name}: {path}: cannot be read: {err.strerror}.") from None
        if name == "key" and mode & 0o007:
            _LOG.warning("workers.tls.key: %s can be read by every user of this machine.", path)
    paths = {f"tls_{role}_{name}": str(getattr(tls, name)) for role in _ROLES for name in ("cert", "key")}
    security = Security(tls_ca_file=str(tls.ca_file), require_encryption=True, **paths)
    try:
        security.get_listen_args("scheduler")
    except (OSError, ssl.SSLError, ValueError) as err:
        raise InputError(
            f"workers.tls: these are not a certificate, its key and its authority: {err}."
        ) from None
    return security
