"""A real Chromium with a page of another origin: nothing that the page tries reaches a queue."""

import functools
import http.server
import threading
import time

import pytest

from infra.localaws.config import EndpointConfig
from infra.localaws.server import running_endpoint
from tests.browser import CHROMIUM, HOW_TO_INSTALL, Browser
from tests.localaws.lab import client_of

pytestmark = [
    pytest.mark.processes,
    pytest.mark.thorough,
    pytest.mark.skipif(CHROMIUM is None, reason=HOW_TO_INSTALL),
]

PATIENCE = 30

#: What a page can do without asking anybody: images, scripts, styles, frames, forms, fetches, beacons.
PAGE = """<!doctype html><title>page</title><body><script>
const at = (action, signed) => "{queue}?Action=" + action + (signed ? "&X-Amz-Signature=0" : "");
let open = 0;
const count = (element) => {{ open += 1; element.onload = element.onerror = () => {{ open -= 1; }}; return element; }};
const add = (name, attribute, url) => {{
  const element = count(document.createElement(name));
  if (name === "link") element.rel = "stylesheet";
  element[attribute] = url;
  document.body.append(element);
}};
for (const signed of [false, true])
  for (const action of ["SendMessage&MessageBody=page", "PurgeQueue", "DeleteQueue", "ReceiveMessage"]) {{
    add("img", "src", at(action, signed));
    add("script", "src", at(action, signed));
    add("link", "href", at(action, signed));
    add("iframe", "src", at(action, signed));
    for (const options of [
      {{mode: "no-cors"}}, {{mode: "cors"}}, {{mode: "no-cors", method: "HEAD"}},
      {{mode: "no-cors", method: "POST", body: "Action=" + action}},
      {{mode: "no-cors", method: "POST", body: new URLSearchParams("Action=" + action)}},
      {{mode: "cors", method: "POST", headers: {{"X-Amz-Target": "AmazonSQS.PurgeQueue"}}, body: "{{}}"}},
    ]) {{
      open += 1;
      fetch(at(action, signed), options).catch(() => 0).finally(() => {{ open -= 1; }});
    }}
    navigator.sendBeacon(at(action, signed), "x");
    for (const method of ["get", "post"]) {{
      const frame = count(document.createElement("iframe"));
      frame.name = "f" + method + action + signed;
      document.body.append(frame);
      const form = document.createElement("form");
      Object.assign(form, {{action: "{queue}", method, target: frame.name}});
      for (const field of ("Action=" + action + (signed ? "&Signature=0" : "")).split("&")) {{
        const [name, value] = field.split("=");
        form.append(Object.assign(document.createElement("input"), {{name, value}}));
      }}
      document.body.append(form);
      form.submit();
    }}
  }}
</script>"""


class _Page(http.server.BaseHTTPRequestHandler):
    def __init__(self, text, *arguments):
        self.text = text
        super().__init__(*arguments)

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(self.text.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def endpoint():
    with running_endpoint(EndpointConfig()) as running:
        yield running


@pytest.fixture
def queue(endpoint):
    sqs = client_of(endpoint, "sqs")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="kept")
    yield url
    sqs.close()


@pytest.fixture
def page(queue):
    """Serve the page from another port of this machine: a browser calls that same-site, and another origin."""
    handler = functools.partial(_Page, PAGE.format(queue=queue))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


#: At least so many requests of the page's hundred reach the endpoint; the browser itself stops some others.
ASKED = 80


def _asked(browser, queue):
    return [url for url in browser.requests if url.startswith(queue)]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_no_page_changes_a_queue(endpoint, queue, page, tmp_path, host):
    """From 127.0.0.1 the page is same-site to the endpoint, from localhost it is cross-site."""
    before = endpoint._requests
    with Browser(tmp_path) as browser:
        browser.open(f"http://{host}:{page}/", "true")
        deadline = time.monotonic() + PATIENCE
        while browser.run("open") > 0 or len(_asked(browser, queue)) < ASKED:
            assert time.monotonic() < deadline, _asked(browser, queue)
            time.sleep(0.05)
    assert endpoint._requests == before, "a request went past the check of pages"
    sqs = client_of(endpoint, "sqs")
    [message] = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    assert (message["Body"], endpoint._sqs.home.model.queue("q")._deliveries) == ("kept", 1)
    sqs.close()


def test_a_user_may_type_the_endpoints_address(endpoint, tmp_path):
    with Browser(tmp_path) as browser:
        browser.open(f"{endpoint.url}/_localaws/health", "true")
        assert "queue-fundamentals" in browser.run("document.body.innerText")
