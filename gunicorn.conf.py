from gevent import monkey; monkey.patch_all()  # fmt: skip
# ruff: noqa: E402, E702, I001 (patching comes before every other import, also under --preload)

# How the program runs: one process, one gevent worker, one bot in it. gunicorn reads this file by itself.
# The reasons are in docs/decisions/0003-process.md.
import os
import signal
import sys

import gevent

from bot.build import StartError, preflight, start
from bot.doctor import port_fault
from bot.settings import SettingsError, is_loopback

STOP_SECONDS = 3.0
CLOSE_SECONDS = 10.0


def refuse(reason: object) -> None:
    sys.exit(f"Tickstop cannot start.\n{reason}")


try:
    options = preflight(os.environ)
except (SettingsError, StartError) as error:
    refuse(error)

bind = f"[{options.host}]:{options.port}" if ":" in options.host else f"{options.host}:{options.port}"
worker_class = "gevent"
workers = 1
preload_app = False
max_requests = 0
timeout = 120
graceful_timeout = 20
keepalive = 5
accesslog = None
control_socket_disable = True


def on_starting(server):
    """Before the port is bound: the address may also have come from GUNICORN_CMD_ARGS."""
    for host, port in (address for address in server.cfg.address if isinstance(address, tuple)):
        if not is_loopback(host) and options.admin_password is None:
            refuse(f"{host}:{port} opens the page to the network; set ADMIN_PASSWORD first.")
        fault = port_fault(host, port)
        if fault:
            refuse(fault)


def post_worker_init(worker):
    """In the worker, with the application loaded: the one place where the bot starts."""
    try:
        worker.bot = start(worker.wsgi, options)
    except StartError as error:
        worker.log.error("Tickstop cannot start. %s", error)
        sys.exit(3)  # tells gunicorn not to try again
    worker.closing = None
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, worker.handle_exit)  # as SIGTERM: Ctrl-C reaches the worker twice, and it must not matter
    gevent.spawn(_watch, worker)


def worker_exit(server, worker):
    """The worker leaves: nothing may be left running or unwritten."""
    if hasattr(worker, "bot"):
        _close(worker)


def _watch(worker):
    """A signal only clears `alive`, and gunicorn then waits for open streams: stop the bot, which ends them."""
    while worker.alive:
        gevent.sleep(0.05)
    _close(worker)


def _close(worker):
    if worker.closing is None:
        worker.cfg.set(
            "keepalive", 0
        )  # a browser whose stream ends now must not hold its connection for another request
        worker.closing = gevent.spawn(worker.bot.stop, STOP_SECONDS)
    worker.closing.join(CLOSE_SECONDS)
