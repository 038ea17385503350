"""Who signs: the member's keys, their scopes, and the verification of signed requests (kalshi-api.md section 2)."""

import base64
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)

Algorithm = Literal["rsa", "ed25519"]
Scope = Literal[
    "read",
    "write",
    "read::block_trade_accept",
    "read::portfolio_balance",
    "write::trade",
    "write::transfer",
    "write::fcm_risk",
    "write::block_trade_accept",
]


class Denied(Exception):
    """401, or 403 for what a key may not do: `body` is the error object to answer."""

    def __init__(self, code: str, message: str, details: str = "", status: int = 401) -> None:
        super().__init__(details or code)
        error = {"code": code, "message": message}
        self.status = status
        self.body = {"error": error | {"details": details} if details else error}


class Key(msgspec.Struct, frozen=True):
    """What the exchange keeps of a key: the public half."""

    id: str
    name: str
    public_pem: str
    scopes: list[Scope] = msgspec.field(default_factory=lambda: ["read", "write"])
    subaccount: int | None = None

    def allow(self, scope: str) -> None:
        """Raise Denied unless the key has a scope or its parent."""
        if scope not in self.scopes and scope.partition("::")[0] not in self.scopes:
            raise Denied("permission_denied", "permission denied", f"API key lacks the scope {scope}", 403)


class Keys:
    """The keys of one account, kept in a folder: private_key.pem and key_id of the first one (for the member, the
    private half mode 0600), and keys.json with the public half of every key that is valid."""

    def __init__(self, folder: Path, window_ms: int, algorithm: Algorithm = "rsa") -> None:
        self.path = folder / "private_key.pem"
        self.window_ms = window_ms
        self._file = folder / "keys.json"
        self._verifiers: dict[str, rsa.RSAPublicKey | ed25519.Ed25519PublicKey] = {}
        id_file = folder / "key_id"
        if not self.path.exists():
            _replace(self.path, _generate(algorithm))
            id_file.write_text(str(uuid.uuid4()) + "\n")
        self.key_id = id_file.read_text().strip()
        if self._file.exists():
            self.keys = {key.id: key for key in msgspec.json.decode(self._file.read_bytes(), type=list[Key])}
        else:
            self.keys = {}
            self._keep(Key(self.key_id, "paper", _public_pem(self.path.read_bytes())))

    def check(self, method: str, path: str, headers: Mapping[str, str], now_ms: int) -> Key:
        """The key whose signature of this method and path (no query) the headers carry; Denied unless it is valid."""
        signature = headers.get("kalshi-access-signature")
        if not signature:
            raise Denied("signature_is_missing_from_headers", "signature is missing from headers")
        stamp = headers.get("kalshi-access-timestamp", "")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 20) or abs(int(stamp) - now_ms) > self.window_ms:
            raise Denied("header_timestamp_expired", "header timestamp expired")
        key = self.keys.get(headers.get("kalshi-access-key", ""))
        if key is None:
            raise Denied("authentication_error", "authentication_error", "NOT_FOUND")
        try:
            raw = base64.b64decode(signature, validate=True)
            self._verify(key, raw, f"{stamp}{method}{path}".encode())
        except (InvalidSignature, ValueError):
            raise Denied("authentication_error", "authentication_error", "INCORRECT_API_KEY_SIGNATURE") from None
        return key

    def add(self, name: str, public_pem: str, scopes: list[Scope] | None, subaccount: int | None) -> Key:
        """Accept a public key; ValueError when it is neither RSA nor Ed25519 in PEM."""
        _load(public_pem)
        key = Key(str(uuid.uuid4()), name, public_pem, scopes or ["read", "write"], subaccount)
        self._keep(key)
        return key

    def generate(
        self, name: str, algorithm: Algorithm, scopes: list[Scope] | None, subaccount: int | None
    ) -> tuple[Key, str]:
        """A new key and its private half, which is not kept."""
        private = _generate(algorithm)
        return self.add(name, _public_pem(private), scopes, subaccount), private.decode()

    def remove(self, key_id: str) -> None:
        """Revoke a key; KeyError when there is none of this id."""
        del self.keys[key_id]
        self._verifiers.pop(key_id, None)
        self._write()

    def _keep(self, key: Key) -> None:
        self.keys[key.id] = key
        self._write()

    def _write(self) -> None:
        _replace(self._file, msgspec.json.encode(list(self.keys.values())))

    def _verify(self, key: Key, signature: bytes, text: bytes) -> None:
        public = self._verifiers.get(key.id)
        if public is None:
            public = self._verifiers[key.id] = _load(key.public_pem)
        if isinstance(public, rsa.RSAPublicKey):
            public.verify(signature, text, PSS, hashes.SHA256())
        else:
            public.verify(signature, text)


def _load(public_pem: str) -> rsa.RSAPublicKey | ed25519.Ed25519PublicKey:
    try:
        public = serialization.load_pem_public_key(public_pem.encode())
    except UnsupportedAlgorithm as unknown:
        raise ValueError(str(unknown)) from None
    if not isinstance(public, rsa.RSAPublicKey | ed25519.Ed25519PublicKey):
        raise ValueError("only RSA and Ed25519 keys are accepted")
    return public


def _generate(algorithm: Algorithm) -> bytes:
    if algorithm == "ed25519":
        private: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey = ed25519.Ed25519PrivateKey.generate()
        form = serialization.PrivateFormat.PKCS8
    else:
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        form = serialization.PrivateFormat.TraditionalOpenSSL
    return private.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _public_pem(private_pem: bytes) -> str:
    public = serialization.load_pem_private_key(private_pem, password=None).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return public.public_bytes(serialization.Encoding.PEM, form).decode()


def _replace(path: Path, data: bytes) -> None:
    """Replace a file that only its owner may read, all or nothing."""
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
