"""flask-sse's blueprint over our fan-out: GET gives the live stream, publish() reaches every browser.

Without Redis publish() goes straight to the fan-out. With Redis it goes over flask-sse's channel, as does a publish()
of any other process that uses flask-sse, and one subscription brings all of it back to the fan-out.
"""

import logging
import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import gevent
from flask import Response, json, request
from flask_sse import Message, ServerSentEventsBlueprint
from redis import Redis
from redis.exceptions import RedisError

from web.auth import role, session_is_open
from web.problems import Problem
from web.stream import Stream, StreamsFull

log = logging.getLogger(__name__)

CHANNEL = "sse"
WRITE_TIMEOUT_S = 10
EVENT_NAME = re.compile(r"[a-z_]{1,40}")


class FanoutSSE(ServerSentEventsBlueprint):  # type: ignore[misc]
    def __init__(self, fanout: Stream, redis_url: str | None = None) -> None:
        super().__init__("sse", __name__)
        self.fanout = fanout
        self.redis_url = redis_url
        self.add_url_rule("", endpoint="stream", view_func=self.stream)

    @cached_property
    def redis(self) -> Redis:
        """The one connection pool; flask-sse would open a connection for every publish and every browser."""
        if not self.redis_url:
            raise KeyError("REDIS_URL is not set.")
        return Redis.from_url(self.redis_url, socket_connect_timeout=5, socket_timeout=5)

    def publish(
        self,
        data: Any,
        type: str | None = None,
        id: str | None = None,
        retry: int | None = None,
        channel: str = CHANNEL,
    ) -> None:
        """flask-sse's publish. Ids are given by the fan-out, because they number what a browser has seen."""
        if self.redis_url:
            self.redis.publish(channel, json.dumps(Message(data, type=type, id=id, retry=retry).to_dict()))
        else:
            self._deliver(Message(data, type=type))

    def messages(self, channel: str = CHANNEL) -> Iterator[Message]:
        """What others publish on Redis; a message that is not flask-sse's is logged and left out."""
        with self.redis.pubsub(ignore_subscribe_messages=True) as pubsub:  # type: ignore[no-untyped-call]
            pubsub.subscribe(channel)
            while True:
                received = pubsub.get_message(timeout=4)
                if received is None:
                    continue
                try:
                    yield Message(**json.loads(received["data"]))
                except (TypeError, ValueError):
                    log.warning("A message on the Redis channel %r is not flask-sse's: ignored.", channel)

    def pump(self, sleep: Callable[[float], None] = gevent.sleep) -> None:
        """Bring messages from Redis to the fan-out, for ever; run it in its own greenlet."""
        while True:
            try:
                for message in self.messages():
                    self._deliver(message)
                    sleep(0)
            except (RedisError, OSError) as error:
                log.warning("Redis does not answer (%s); events of other processes are missing until it does.", error)
            sleep(2)

    @role("viewer")
    def stream(self) -> Response:
        """GET: the live stream of the page."""
        last_id = request.headers.get("Last-Event-ID") or request.args.get("last_event_id")
        try:
            client = self.fanout.open(last_id, session_is_open())
        except StreamsFull:
            detail = "Too many pages are open. Close one, and this one connects by itself."
            raise Problem(503, "streams_full", detail, retry_after=5) from None
        socket = request.environ.get("gunicorn.socket")
        if socket is not None:
            socket.settimeout(WRITE_TIMEOUT_S)
        headers = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
        return Response(client, mimetype="text/event-stream", headers=headers)

    def _deliver(self, message: Message) -> None:
        event = message.type if message.type and EVENT_NAME.fullmatch(message.type) else "message"
        self.fanout.publish(event, message.data)
