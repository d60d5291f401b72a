"""A service that says who may connect: prints its port, then one line of JSON for each question.

The user decides about the answer: `deny`, `ignore`, `slow` (no answer), `broken` (500), `garbage`;
anybody else is let in with the password `good`, and may publish and subscribe below `http/USER/`.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        question = json.loads(body)
        shown = {**question, "password": question.get("password") == "good"}
        print(json.dumps(shown), flush=True)
        user = question.get("username")
        if user == "slow":
            threading.Event().wait(60)
        if user == "broken":
            return self.answer(500, b"")
        if user == "garbage":
            return self.answer(200, b"<html>")
        result = user if user in ("deny", "ignore") else None
        good = question.get("password") == "good"
        answer = {"result": result or ("allow" if good else "deny")}
        if answer["result"] == "allow":
            topics = [f"http/{user}/#"]
            answer["acl"] = [{"allow": ["publish", "subscribe"], "topics": topics}]
        self.answer(200, json.dumps(answer).encode())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(server.server_port, flush=True)
server.serve_forever()
