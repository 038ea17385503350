"""Orders and stream over TLS, as they run against the real exchange: warm connections, certificates checked."""

import base64
import datetime
import hashlib
import ipaddress
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from loopback import read_request, reply

ROOT = Path(__file__).parents[2]
ORDER = b'{"order_id":"o","fill_count":"1.00","remaining_count":"0.00"}'


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate for 127.0.0.1: (certificate path, key path)."""
    folder = tmp_path_factory.mktemp("tls")
    key = generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def server(certificate):
    """A TLS server: HTTP with keep-alive, and a WebSocket that pings and then sends one trade. (port, connections)"""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    listener = socket.create_server(("127.0.0.1", 0))
    taken = []

    def serve(raw):
        try:
            connection = context.wrap_socket(raw, server_side=True)
            taken.append(connection)
            while True:
                line, headers, _ = read_request(connection)
                if not line:
                    return
                if "sec-websocket-key" in headers:
                    digest = hashlib.sha1(
                        (headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()
                    )
                    accept = base64.b64encode(digest.digest()).decode()
                    head = (
                        f"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}"
                    )
                    trade = b'{"type":"trade","sid":1,"msg":{"market_ticker":"A"}}'
                    connection.sendall(head.encode() + b"\r\n\r\n\x89\x02hi" + bytes([0x81, len(trade)]) + trade)
                    connection.recv(100)
                else:
                    connection.sendall(reply(200, ORDER))
        except OSError:
            return

    def accept():
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(raw,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1], taken
    listener.close()


SCRIPT = """
from gevent import monkey
monkey.patch_all()
import gevent, json, sys
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from bot.core.effects import PlaceOrder
from bot.kalshi.orders import KalshiOrders
from bot.kalshi.sign import Signer
from bot.kalshi.stream import Stream
signer = Signer("k", Ed25519PrivateKey.generate())
orders = KalshiOrders(f"https://127.0.0.1:{sys.argv[1]}/trade-api/v2", signer)
orders.keep_warm()
exit_ = PlaceOrder("c", "T", "ask", 100, 100, "immediate_or_cancel", "exit", "maker", True)
outcomes = [type(orders.create(exit_)).__name__ for _ in range(3)]

class Heard:
    frames = []
    def connected(self): pass
    def disconnected(self): pass
    def gap(self, channel, tickers): pass
    def frame(self, frame, received_ns): self.frames.append(type(frame).__name__)

lines = []
stream = Stream(f"wss://127.0.0.1:{sys.argv[1]}/trade-api/ws/v2", signer, log=lines.append)
reader = gevent.spawn(stream.run, Heard())
with gevent.Timeout(10, False):
    while not Heard.frames and not any("attempt" in line for line in lines):
        gevent.sleep(0.01)
stream.stop()
reader.join(5)
print(json.dumps({"outcomes": outcomes, "frames": Heard.frames, "lines": lines}))
"""


def run(port, **environment):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(port)],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_warm_tls_connections_are_used_again_and_the_stream_reads(server, certificate):
    port, connections = server
    told = run(port, SSL_CERT_FILE=str(certificate[0]))
    assert told["outcomes"] == ["Accepted"] * 3
    assert told["frames"] == ["Trade"], told["lines"]
    assert len(connections) == 5


def test_a_certificate_nobody_vouches_for_stops_everything_before_it_is_sent(server):
    port, connections = server
    told = run(port)
    assert told["outcomes"] == ["NotSent"] * 3
    assert told["frames"] == []
    assert any("CERTIFICATE_VERIFY_FAILED" in line for line in told["lines"])
    assert connections == []
