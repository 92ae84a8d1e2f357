"""A webhook of the tests."""

import http.server
import json
import threading

from objects.wire import eventually


class Hook:
    """A server that takes messages, or refuses them."""

    def __init__(self):
        self.messages, self.status = [], 200
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if hook.status == 200:
                    hook.messages.append((self.path, body))
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_port}/hook?a=b"

    def records(self, bucket):
        return [
            record for _, body in list(self.messages) for record in body.get("Records", [])
            if record["s3"]["bucket"]["name"] == bucket]

    def wait(self, bucket, count, seconds=20):
        eventually(
            lambda: len(self.records(bucket)) >= count, seconds,
            lambda: f"only {[record['eventName'] for record in self.records(bucket)]}")
        return self.records(bucket)
