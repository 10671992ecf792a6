"""A proxy on loopback that passes requests on, and loses the replies that a test names."""

import contextlib
import http.client
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class LossyProxy:
    """Attributes: ``url``; ``lose`` (an API's name, such as ``UpdateItem``), whose next replies are lost; ``seen``."""

    def __init__(self, endpoint):
        self.seen = []
        self._lost = {}
        self.before_repeat = lambda: None
        parts = urlsplit(endpoint)
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                action = self.headers["X-Amz-Target"].rpartition(".")[2]
                onward = http.client.HTTPConnection(parts.hostname, parts.port)
                with contextlib.closing(onward):
                    onward.request("POST", self.path, body, dict(self.headers))
                    reply = onward.getresponse()
                    data = reply.read()
                lost = proxy._is_lost(action, body)
                proxy.seen.append((action, json.loads(body)))
                if lost:
                    proxy.before_repeat()
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for name, value in reply.getheaders():
                    if name.lower() not in ("transfer-encoding", "connection", "date", "server"):
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def lose(self, action, replies=1):
        """Lose so many replies, or ``every first`` one: then a request that comes again is answered."""
        self._lost[action] = replies

    def _is_lost(self, action, body):
        replies = self._lost.get(action, 0)
        if replies == "every first":
            return (action, json.loads(body)) not in self.seen
        self._lost[action] = max(0, replies - 1)
        return replies > 0

    def requests(self, action):
        return [body for name, body in self.seen if name == action]

    def close(self):
        self._server.shutdown()
        self._server.server_close()
