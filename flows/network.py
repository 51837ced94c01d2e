"""What the variables for proxies and certificates must say, so that Prefect works with them.

The user's own values stay in force, here and in the processes that the job starts.
"""

from __future__ import annotations

import os
import re
import ssl
from urllib.parse import urlsplit

from namegen.errors import SettingError

LOOPBACK = ("localhost", "127.0.0.1", "::1")
PROXIES = {"http_proxy", "https_proxy", "all_proxy"}
SCHEMES = {"http", "https", "socks5", "socks5h"}  # that httpx, Prefect's client, knows
CERTIFICATES = ("SSL_CERT_FILE", "PREFECT_API_SSL_CERT_FILE")


def settle_network() -> None:
    """Lets nothing on this machine be asked through a proxy, and checks the proxies and the certificates.

    Raises:
        SettingError: if Prefect could not use one of them, even for a server on this machine.
    """
    _exempt_loopback()
    for name in [name for name in os.environ if name.lower() in PROXIES]:
        _check_proxy(name)
    for name in CERTIFICATES:
        if os.environ.get(name):
            _check_certificates(name)


def _exempt_loopback() -> None:
    """Adds this machine's addresses to what is asked without a proxy: the usual ones, and those in other variables.

    Where only one of the two names is set, the other gets its value too: most programs read the small letters first.
    """
    named = {host for value in os.environ.values() for host in re.findall(r"://(127\.\d+\.\d+\.\d+)\b", value)}
    values = {}
    for name, other in (("no_proxy", "NO_PROXY"), ("NO_PROXY", "no_proxy")):
        own = [host.strip() for host in os.environ.get(name, os.environ.get(other, "")).split(",")]
        added = () if "*" in own else (*LOOPBACK, *sorted(named))
        values[name] = ",".join(filter(None, dict.fromkeys((*own, *added))))
    os.environ.update(values)


def _check_proxy(name: str) -> None:
    value = os.environ[name].strip()
    if value.lower().startswith("socks://"):  # as desktops write it, and browsers read it
        value = os.environ[name] = f"socks5://{value[len('socks://') :]}"
    if not value:
        return
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        is_usable = parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        shown = re.sub(r"//.*@", "//***@", value)
        remedy = "Write http://host:port or socks5://host:port, or unset it"
        raise SettingError(f"{name}={shown} is not a proxy that Prefect can use", remedy=remedy)


def _check_certificates(name: str) -> None:
    path = os.environ[name]
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:
        why = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        what = f"{name}={path} is not a file of certificates ({why})"
        raise SettingError(what, remedy="Correct the path, or unset it") from None
