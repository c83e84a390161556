"""Enough of a W&B server, on this machine, to see what an online run sends and how it resumes."""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class WandbServer(ThreadingHTTPServer):
    """Keeps history, exit codes and the offset of each upload of history of its one run; and reports.

    The projects of `someone` are those in `projects`.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.history: list[dict[str, Any]] = []
        self.offsets: list[int] = []
        self.exit_codes: list[int] = []
        self.reports: list[dict[str, Any]] = []
        self.projects = ["p"]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def stream(self, sent: dict[str, Any]) -> None:
        chunk = (sent.get("files") or {}).get("wandb-history.jsonl")
        if chunk:
            self.offsets.append(chunk["offset"])
            self.history[chunk["offset"] :] = map(json.loads, chunk["content"])
        if "exitcode" in sent:
            self.exit_codes.append(sent["exitcode"])

    def respond(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        project = {"id": "p", "name": "p", "entity": {"id": "e", "name": "someone"}}
        run = {"id": "r", "name": variables.get("name", ""), "displayName": "n", "project": project}
        if found := self._of_reports(query, variables):
            return found
        if "upsertBucket" in query:
            return {"upsertBucket": {"bucket": run, "inserted": not self.history}}
        if "createRunFiles" in query:
            files = [{"name": name, "uploadUrl": f"{self.url}/upload"} for name in variables["files"]]
            return {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": files}}
        return {"model": {**project, "bucket": run | self._progress() if self.history else None}}

    def _of_reports(self, query: str, variables: dict[str, Any]) -> dict[str, Any] | None:
        if "Viewer" in query:
            return {"viewer": {"id": "v", "username": "someone", "entity": "someone", "flags": "{}", "admin": False}}
        if "upsertView" in query:
            self.reports.append(variables)
            return {"upsertView": {"view": {**_view(variables), "id": "r1"}, "inserted": True}}
        if "ProjectInternalId" in query:
            return {"project": {"internalId": "1"} if variables["projectName"] in self.projects else None}
        if "GetProjects" in query:
            pages = {"endCursor": None, "hasNextPage": False}
            return {
                "models": {
                    "edges": [{"node": _project(name), "cursor": name} for name in self.projects],
                    "pageInfo": pages,
                }
            }
        return None

    def _progress(self) -> dict[str, Any]:
        tails = {"historyTail": json.dumps([json.dumps(self.history[-1])]), "eventsTail": "[]"}
        counts = {"historyLineCount": len(self.history), "eventsLineCount": 0, "logLineCount": 0}
        return {**tails, **counts, "summaryMetrics": "{}", "config": "{}", "wandbConfig": '{"t": 1}'}


class _Handler(BaseHTTPRequestHandler):
    server: WandbServer

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        sent = gzip.decompress(sent) if self.headers.get("Content-Encoding") == "gzip" else sent
        reply: dict[str, Any] = {}
        if "/file_stream" in self.path:
            self.server.stream(json.loads(sent))
        elif "/graphql" in self.path:
            reply = {"data": self.server.respond(**_query(json.loads(sent)))}
        self._send(json.dumps(reply).encode())

    do_PUT = do_POST

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _query(request: dict[str, Any]) -> dict[str, Any]:
    return {"query": request["query"], "variables": request.get("variables") or {}}


def _project(name: str) -> dict[str, Any]:
    fields = {"createdAt": "2026-01-01T00:00:00Z", "isBenchmark": False, "user": None}
    return {"id": "p", "name": name, "entityName": "someone", **fields}


def _view(variables: dict[str, Any]) -> dict[str, Any]:
    kept = {name: variables[name] for name in ("name", "displayName", "description", "spec")}
    return {**kept, "project": {"id": "1", "name": variables["projectName"], "entityName": variables["entityName"]}}


@contextmanager
def wandb_server() -> Iterator[WandbServer]:
    """A server that runs while the body does."""
    with WandbServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
