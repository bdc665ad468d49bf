"""Addresses of endpoints in one spelling."""

from urllib.parse import SplitResult, urlsplit

PORTS = {"http": 80, "https": 443}


def has_port(parts: SplitResult) -> bool:
    """Whether the port is a number that a port can have, or the scheme's own."""
    try:
        return parts.port is None or parts.port > 0
    except ValueError:
        return False


def one_spelling(base_url: str) -> str:
    """`base_url` without what makes no difference: capital letters of the host, the scheme's own port, a slash at the
    end. A login, a query and a fragment are left out as well."""
    parts = urlsplit(base_url)
    assert parts.hostname is not None, "an address without a host is refused before"
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port in (None, PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"
