from gevent import monkey; monkey.patch_all()  # fmt: skip
# ruff: noqa: E402, E702, I001
import gevent

worker_class = "gevent"
workers = 1
keepalive = 5
graceful_timeout = 8
control_socket_disable = True
loglevel = "warning"


def post_worker_init(worker):
    def watch():
        while worker.alive:
            gevent.sleep(0.05)
        worker.wsgi.extensions["tickstop"].stream.close()

    gevent.spawn(watch)
