"""Keys and signatures for Kalshi requests (kalshi-api.md section 2).

A signature covers time, method and path, not the body, so headers can be signed in advance; each is used once.
"""

import base64
import binascii
import os
import re
import stat
import textwrap
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

PrivateKey = RSAPrivateKey | Ed25519PrivateKey

STALE_NS = 2_000_000_000
"""A pre-signed header older than this is thrown away; the exchange allows 5 s for certain (section 2.4)."""

_MOUNTED_SECRETS = (Path("/etc/secrets"), Path("/run/secrets"))
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.+?)-----END \1-----", re.DOTALL)
_PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
_SHA256 = hashes.SHA256()


class KeyProblem(ValueError):
    """The private key cannot be used. The message says what to do and never holds key material."""


def load_key(source: str) -> PrivateKey:
    """Load an RSA or Ed25519 private key from a file path, PEM text, or base64 of the PEM text.

    PEM text may have real, literal (\\n) or lost newlines and surrounding quotes. Takes about 30 ms: load once.
    """
    text = source.strip().strip("\"'").strip()
    if not text:
        raise KeyProblem("The Kalshi private key is empty: give the path of the key file, or the PEM text itself.")
    if "-----BEGIN" not in text:
        text = _from_file(Path(text).expanduser()) if _is_path(text) else _from_base64(text)
    return _from_pem(text)


def _is_path(text: str) -> bool:
    try:
        return Path(text).expanduser().exists() or text.startswith(("/", "~", "./", "../")) or text.endswith(".pem")
    except OSError:  # too long for a file name
        return False


def _from_file(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise KeyProblem(f"The Kalshi private key {path} is not a file.")
        mounted = any(path.resolve().is_relative_to(folder) for folder in _MOUNTED_SECRETS)
        if mode & 0o077 and not mounted:
            raise KeyProblem(
                f"Other users can read the Kalshi private key {path} (mode {stat.S_IMODE(mode):04o}). "
                f"Run: chmod 600 {path}"
            )
        return path.read_text()
    except FileNotFoundError:
        raise KeyProblem(f"There is no Kalshi private key at {path}.") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "it is not a text file"
        raise KeyProblem(f"The Kalshi private key {path} cannot be read: {reason}.") from None


def _from_base64(text: str) -> str:
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        raise KeyProblem(
            "The Kalshi private key is neither an existing file, nor PEM text (-----BEGIN ... PRIVATE KEY-----), "
            "nor base64 of PEM text."
        ) from None


def _from_pem(text: str) -> PrivateKey:
    found = _PEM.search(text.replace("\\r", "").replace("\\n", "\n"))
    if found is None:
        raise KeyProblem("The Kalshi private key has no complete -----BEGIN ...----- / -----END ...----- pair.")
    label, body = found.groups()
    if "OPENSSH" in label:
        raise KeyProblem("The Kalshi private key is in OpenSSH format. Convert it: ssh-keygen -p -m PEM -f FILE")
    if "ENCRYPTED" in label or "ENCRYPTED" in body:
        raise KeyProblem("The Kalshi private key has a passphrase. Remove it: openssl pkey -in FILE -out NEWFILE")
    lines = "\n".join(textwrap.wrap("".join(body.split()), 64))
    try:
        key = load_pem_private_key(f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n".encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyProblem(
            f"The Kalshi private key ({label.lower()}) is damaged: copy it again from where Kalshi gave it."
        ) from None
    if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
        raise KeyProblem("The Kalshi private key must be RSA or Ed25519.")
    return key


class Signer:
    """Signs requests for one key id."""

    def __init__(self, key_id: str, key: PrivateKey) -> None:
        self.key_id = key_id
        self._key = key

    def headers(self, method: str, path: str, now_ms: int) -> dict[str, str]:
        """The three access headers for one attempt. `path` starts at the root and carries no query string."""
        text = f"{now_ms}{method.upper()}{path}".encode()
        if isinstance(self._key, RSAPrivateKey):
            signature = self._key.sign(text, _PSS, _SHA256)
        else:
            signature = self._key.sign(text)
        return {
            "KALSHI-ACCESS-KEY": self.key_id,
            "KALSHI-ACCESS-TIMESTAMP": str(now_ms),
            "KALSHI-ACCESS-SIGNATURE": base64.b64encode(signature).decode("ascii"),
        }


class HeaderStock:
    """Headers of one method and path, signed in advance, each given out once."""

    def __init__(
        self, signer: Signer, method: str, path: str, clock_ns: Callable[[], int] = time.time_ns, size: int = 3
    ) -> None:
        self._signer = signer
        self._method = method
        self._path = path
        self._clock_ns = clock_ns
        self._size = size
        self._stock: deque[tuple[int, dict[str, str]]] = deque()

    def refresh(self) -> None:
        """Replace what is about to go stale and fill up. Call about once a second; costs up to 0.25 ms a header."""
        now_ns = self._clock_ns()
        while self._stock and abs(now_ns - self._stock[0][0]) > STALE_NS // 2:
            self._stock.popleft()
        while len(self._stock) < self._size:
            self._stock.append(self._sign())

    def take(self) -> dict[str, str]:
        """A header triple nobody else gets; the freshest in stock, else signed now."""
        if self._stock:
            signed_ns, headers = self._stock.pop()
            if abs(self._clock_ns() - signed_ns) < STALE_NS:
                return headers
            self._stock.clear()
        return self._sign()[1]

    def _sign(self) -> tuple[int, dict[str, str]]:
        now_ns = self._clock_ns()
        return now_ns, self._signer.headers(self._method, self._path, now_ns // 1_000_000)
