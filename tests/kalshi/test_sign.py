"""Keys load from every form people have them in; signatures are what the exchange verifies."""

import base64
import os
import tempfile
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from bot.kalshi.sign import HeaderStock, KeyProblem, Signer, load_key

RSA = generate_private_key(65537, 2048)
ED = Ed25519PrivateKey.generate()


def pem(key, form=PrivateFormat.PKCS8, encryption=None):
    return key.private_bytes(Encoding.PEM, form, encryption or NoEncryption()).decode()


def same(key, other):
    return key.public_key() == other.public_key()


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize(
    "dress",
    [
        lambda text: text,
        lambda text: text.replace("\n", "\\n"),
        lambda text: text.replace("\n", " "),
        lambda text: text.replace("\n", ""),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: f'"{text}"',
        lambda text: "'" + text.replace("\n", "\\n") + "'",
        lambda text: base64.b64encode(text.encode()).decode(),
        lambda text: base64.encodebytes(text.encode()).decode(),
    ],
)
def test_pem_text_loads_in_every_dress(form, dress):
    assert same(load_key(dress(pem(RSA, form))), RSA)


def test_ed25519_loads():
    assert same(load_key(pem(ED)), ED)


def test_a_private_file_loads(tmp_path):
    path = tmp_path / "key.pem"
    path.write_text(pem(RSA))
    path.chmod(0o600)
    assert same(load_key(str(path)), RSA)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_key_file_that_others_can_touch_is_refused_with_the_remedy(tmp_path, mode):
    path = tmp_path / "key.pem"
    path.write_text(pem(RSA))
    path.chmod(mode)
    with pytest.raises(KeyProblem, match=f"chmod 600 {path}"):
        load_key(str(path))


def test_mounted_secrets_may_be_readable(tmp_path, monkeypatch):
    path = tmp_path / "key.pem"
    path.write_text(pem(RSA))
    path.chmod(0o644)
    monkeypatch.setattr("bot.kalshi.sign._MOUNTED_SECRETS", (Path(tmp_path),))
    assert same(load_key(str(path)), RSA)


def test_problems_are_named_and_never_show_the_key(tmp_path):
    secret = pem(RSA)
    body = "".join(secret.splitlines()[1:-1])
    cases = {
        "": "empty",
        str(tmp_path / "absent.pem"): "no Kalshi private key at",
        str(tmp_path): "is not a file",
        "hello": "neither an existing file",
        secret.replace("-----END", ""): "no complete",
        secret.replace(body[100:140], "A" * 40).replace(secret.splitlines()[3], "A" * 64): "damaged",
        pem(RSA, encryption=BestAvailableEncryption(b"x")): "passphrase",
        pem(generate_ec(SECP256R1())): "RSA or Ed25519",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----": "ssh-keygen",
    }
    for source, words in cases.items():
        with pytest.raises(KeyProblem, match=words) as caught:
            load_key(source)
        assert body[:30] not in str(caught.value)


def test_an_unreadable_file_is_named():
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    path = folder / "key.pem"
    path.write_text("x")
    path.chmod(0)
    me = os.geteuid()
    if me == 0:
        os.seteuid(65534)  # root would read it all the same
    try:
        with pytest.raises(KeyProblem, match="cannot be read"):
            load_key(str(path))
    finally:
        os.seteuid(me)


def test_rsa_signature_is_pss_with_salt_32_over_time_method_path():
    assert isinstance(RSA, RSAPrivateKey)
    headers = Signer("key-1", RSA).headers("get", "/trade-api/v2/portfolio/orders", 1795248000123)
    assert headers["KALSHI-ACCESS-KEY"] == "key-1"
    assert headers["KALSHI-ACCESS-TIMESTAMP"] == "1795248000123"
    signature = base64.b64decode(headers["KALSHI-ACCESS-SIGNATURE"], validate=True)
    text = b"1795248000123GET/trade-api/v2/portfolio/orders"
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    RSA.public_key().verify(signature, text, pss, hashes.SHA256())
    with pytest.raises(InvalidSignature):
        RSA.public_key().verify(signature, text + b"?", pss, hashes.SHA256())


def test_ed25519_signature_verifies():
    headers = Signer("k", ED).headers("POST", "/p", 5)
    ED.public_key().verify(base64.b64decode(headers["KALSHI-ACCESS-SIGNATURE"]), b"5POST/p")


class Clock:
    ns = 1_000_000_000_000

    def __call__(self) -> int:
        return self.ns


def stamp(headers):
    return int(headers["KALSHI-ACCESS-TIMESTAMP"])


def test_stock_gives_each_header_once_and_signs_live_when_empty():
    clock = Clock()
    stock = HeaderStock(Signer("k", RSA), "POST", "/p", clock, size=3)
    stock.refresh()
    taken = [stock.take()["KALSHI-ACCESS-SIGNATURE"] for _ in range(6)]
    assert len(set(taken)) == 6


def test_stock_never_gives_a_stale_header():
    clock = Clock()
    stock = HeaderStock(Signer("k", ED), "POST", "/p", clock)
    stock.refresh()
    clock.ns += 1_999_000_000
    assert stamp(stock.take()) == 1_000_000
    clock.ns += 1_000_000
    assert stamp(stock.take()) == 1_002_000


def test_refresh_replaces_what_would_go_stale_before_the_next_one():
    clock = Clock()
    stock = HeaderStock(Signer("k", ED), "POST", "/p", clock)
    stock.refresh()
    clock.ns += 1_100_000_000
    stock.refresh()
    assert {stamp(stock.take()) for _ in range(3)} == {1_001_100}


def test_no_header_of_a_time_ahead_is_given_out_when_the_clock_was_set_back():
    clock = Clock()
    stock = HeaderStock(Signer("k", ED), "POST", "/p", clock)
    stock.refresh()
    clock.ns -= 600 * 10**9
    assert stamp(stock.take()) == clock.ns // 10**6
    clock.ns += 600 * 10**9
    stock.refresh()
    clock.ns -= 600 * 10**9
    stock.refresh()
    assert {stamp(stock.take()) for _ in range(3)} == {clock.ns // 10**6}
