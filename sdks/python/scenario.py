# Written as for Twilio: it knows nothing of Parley.
import json
import os
import queue
import threading
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qsl, quote

from twilio.base.exceptions import TwilioRestException
from twilio.request_validator import RequestValidator
from twilio.rest import Client

name = os.environ["SCENARIO_NAME"]
client = Client()
v1 = client.conversations.v1
conversations = v1.conversations
events = queue.Queue()
validator = RequestValidator(os.environ["TWILIO_AUTH_TOKEN"])


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        params = dict(parse_qsl(body, keep_blank_values=True))
        url = "http://" + self.headers["Host"] + self.path
        valid = validator.validate(url, params, self.headers["X-Twilio-Signature"])
        self.send_response(200)
        self.end_headers()
        events.put([params["EventType"], params["FriendlyName"], valid])

    def log_message(self, *args):
        pass


receiver = HTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=receiver.serve_forever, daemon=True).start()
hook = "http://127.0.0.1:%d/hook?name=%s" % (receiver.server_port, quote(name, safe=""))
filters = ["onConversationAdded", "onConversationUpdated"]
hooks = v1.configuration.webhooks().update(method="POST", filters=filters, post_webhook_url=hook)

created = conversations.create(
    friendly_name=name,
    unique_name=name,
    date_created=datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
    date_updated=datetime(2026, 1, 3, 3, 4, 5, tzinfo=timezone.utc),
    messaging_service_sid="MG0123456789abcdef0123456789abcdef",
    attributes=json.dumps({"name": name}, ensure_ascii=False, separators=(",", ":")),
    state="inactive",
    timers_inactive="PT5M",
    timers_closed="P1D",
    bindings_email_address="support@example.com",
    bindings_email_name=name,
    x_twilio_webhook_enabled="true",
)
webhook = events.get(timeout=60)

by_name = conversations(name).fetch()
updated = conversations(created.sid).update(friendly_name=name + " again", state="active")
for i in range(1, 7):
    conversations.create(friendly_name="row %d" % i)
pages = []
page = conversations.page(page_size=2)
while page is not None:
    pages.append(len(list(page)))
    page = page.next_page()
listed = len(conversations.list(page_size=2))
conversations(created.sid).update(state="closed")


def failed(act):
    try:
        act()
    except TwilioRestException as error:
        return [error.status, error.code]


print(json.dumps({
    "created": [created.friendly_name, created.unique_name, created.attributes, created.state, created.messaging_service_sid],
    "dates": created.date_created.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    "timers": sorted(created.timers),
    "bindings": created.bindings["email"]["name"],
    "byName": by_name.sid == created.sid,
    "updated": [updated.friendly_name, str(updated.state)],
    "pages": pages,
    "listed": listed,
    "closed": len(conversations.list(state="closed")),
    "early": len(conversations.list(end_date="2026-01-02")),
    "filters": hooks.filters,
    "webhook": webhook,
    "notFound": failed(lambda: conversations("CH00000000000000000000000000000000").fetch()),
    "refused": failed(lambda: conversations(created.sid).update(friendly_name="x")),
}))
