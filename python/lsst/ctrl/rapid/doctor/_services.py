"""What a run talks to: RubinTV's Redis server, and those who steer it."""

from __future__ import annotations

__all__ = ("look_at_control", "look_at_redis")

from collections.abc import Iterator
from typing import Any

from ..control import SOCKET_NAME, ControlClient, ControlError, open_port
from ..model import InputError
from ._finding import Finding, fault, fine, warning
from ._place import Place

_ANSWER_SECONDS = 5.0


def look_at_redis(place: Place) -> Iterator[Finding]:
    """Ask RubinTV's Redis server, where one is configured, whether it is there."""
    spec = place.settings.redis
    if spec is None:
        return
    try:
        import redis
    except ImportError:
        yield fault("the package 'redis' is not here", "pip install 'lsst-ctrl-rapid[redis]'")
        return
    options: dict[str, Any] = {}
    if spec.password_file is not None:
        try:
            options["password"] = spec.password_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as err:
            yield fault(f"the password file {spec.password_file} cannot be read ({err})")
            return
    try:
        with redis.Redis.from_url(
            spec.url, **options, socket_timeout=_ANSWER_SECONDS, socket_connect_timeout=_ANSWER_SECONDS
        ) as client:
            client.ping()
    except (redis.RedisError, OSError, ValueError) as err:
        yield fault(
            f"the server at {spec.place} does not answer ({err})",
            "start it, or mend 'redis' in the site file; a run would go on without RubinTV's page",
        )
    else:
        yield fine(f"the server at {spec.place} answers")


def look_at_control(place: Place) -> Iterator[Finding]:
    """See whether orders can be taken, and whether an executor is there already."""
    spec = place.settings.control
    if not spec.enabled:
        yield fine("no orders are taken while it runs: 'control: off'")
        return
    path = spec.socket or place.settings.work_dir / SOCKET_NAME
    answers = False
    if not path.exists():
        yield fine(f"{path} is free")
    elif not path.is_socket():
        yield fault(f"{path} is not a socket", "remove it, or have the site file name another")
    else:
        try:
            status = ControlClient(path).status()
        except ControlError as err:
            yield fine(f"{path} was left by an executor that is gone ({err}), and will be replaced")
        else:
            answers = True
            yield warning(
                f"an executor answers at {path} ({status.phase})",
                "another in the same work folder is refused; 'rapid-exec control drain' ends that one",
            )
    if spec.token_file is not None:
        try:
            spec.token_file.read_text()
        except (OSError, UnicodeDecodeError) as err:
            yield fault(f"the token file {spec.token_file} cannot be read ({err})")
    if spec.port and not answers:
        try:
            open_port(spec.host, spec.port).close()
        except InputError as err:
            yield fault(str(err).rstrip("."), "end who has it, or name another in the site file")
        else:
            yield fine(f"port {spec.port} of {spec.host} is free")
