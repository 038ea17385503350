"""Who signs: the member's key pair and the verification of signed requests (kalshi-api.md section 2)."""

import base64
import binascii
import os
import uuid
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)


class Denied(Exception):
    """401: `body` is the error object to answer."""

    def __init__(self, code: str, message: str, details: str = "") -> None:
        super().__init__(details or code)
        error = {"code": code, "message": message}
        self.body = {"error": error | {"details": details} if details else error}


class Keys:
    """One key pair kept in a folder: private_key.pem (for the member, mode 0600) and key_id."""

    def __init__(self, folder: Path, window_ms: int) -> None:
        self.path = folder / "private_key.pem"
        self.window_ms = window_ms
        id_file = folder / "key_id"
        if not self.path.exists():
            _write_private(self.path, _generate())
            id_file.write_text(str(uuid.uuid4()) + "\n")
        self.key_id = id_file.read_text().strip()
        private = serialization.load_pem_private_key(self.path.read_bytes(), password=None)
        assert isinstance(private, rsa.RSAPrivateKey)
        self._public = private.public_key()

    def check(self, method: str, path: str, headers: Mapping[str, str], now_ms: int) -> None:
        """Raise Denied unless the headers sign this method and path (no query) within the clock window."""
        signature = headers.get("kalshi-access-signature")
        if not signature:
            raise Denied("signature_is_missing_from_headers", "signature is missing from headers")
        stamp = headers.get("kalshi-access-timestamp", "")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 20) or abs(int(stamp) - now_ms) > self.window_ms:
            raise Denied("header_timestamp_expired", "header timestamp expired")
        if headers.get("kalshi-access-key") != self.key_id:
            raise Denied("authentication_error", "authentication_error", "NOT_FOUND")
        try:
            raw = base64.b64decode(signature, validate=True)
            self._public.verify(raw, f"{stamp}{method}{path}".encode(), PSS, hashes.SHA256())
        except (InvalidSignature, binascii.Error):
            raise Denied("authentication_error", "authentication_error", "INCORRECT_API_KEY_SIGNATURE") from None


def _generate() -> bytes:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _write_private(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
