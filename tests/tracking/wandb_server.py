"""Enough of a W&B server, on this machine, to see what is sent; it takes only what the real API takes."""

import base64
import gzip
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.tracking.wandb_api import LONGEST_TITLE, PRESETS, Refused, check_chart, check_report, check_request

KEY = "k" * 40
ENTITY = "someone"
NO_MORE = {"endCursor": None, "hasNextPage": False}
STREAM = re.compile(r"/files/([^/]+)/([^/]+)/([^/]+)/file_stream")


@dataclass
class ServerRun:
    """A run as the server has it: what was upserted, its history and summary, and how it ended."""

    about: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    offsets: list[int] = field(default_factory=list)
    exit_codes: list[int] = field(default_factory=list)

    @property
    def state(self) -> str:
        return ("failed" if self.exit_codes[-1] else "finished") if self.exit_codes else "running"

    @property
    def name(self) -> str:
        return str(self.about["displayName"])

    @property
    def config(self) -> dict[str, Any]:
        return {key: entry["value"] for key, entry in json.loads(self.about["config"]).items() if key != "_wandb"}


class WandbServer(ThreadingHTTPServer):
    """Keeps runs by id, artifacts, charts and reports of `someone`, whose projects are those in `projects`.

    It refuses every key but `KEY`, and everything that `wandb_api` refuses; `refusals` has the reasons.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.runs: dict[str, ServerRun] = {}
        self.reports: list[dict[str, Any]] = []
        self.charts: dict[str, dict[str, Any]] = {}
        self.artifacts: dict[str, dict[str, Any]] = {}
        self.files: dict[str, bytes] = {}
        self.projects = ["p"]
        self.refusals: list[str] = []
        self.key = KEY
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def run(self) -> ServerRun:
        """The only run."""
        (run,) = self.runs.values()
        return run

    def named(self, kind: str) -> dict[str, ServerRun]:
        """The runs of one job type by their names; of one name there may be several, of which one is returned."""
        return {run.name: run for run in self.runs.values() if run.about["jobType"] == kind}

    def stream(self, identifier: str, sent: dict[str, Any]) -> None:
        run = self.runs[identifier]
        for name, chunk in (sent.get("files") or {}).items():
            rows = [json.loads(line) for line in chunk["content"] if line] if name.endswith((".jsonl", ".json")) else []
            if name == "wandb-history.jsonl":
                run.offsets.append(chunk["offset"])
                run.history[chunk["offset"] :] = rows
            elif name == "wandb-summary.json":
                run.summary |= rows[-1]
        if sent.get("exitcode") is not None:
            run.exit_codes.append(sent["exitcode"])

    def respond(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        name = check_request(query, variables)
        answer: Callable[..., dict[str, Any]] | None = getattr(self, f"_{name}", None)
        if answer is None:
            raise Refused(f"the stand-in has no {name}")
        with self._lock:
            return answer(**variables)

    def _Viewer(self) -> dict[str, Any]:
        viewer = {"id": "v", "username": ENTITY, "entity": ENTITY, "flags": "{}", "admin": False, "email": "a@b.c"}
        return {"viewer": {**viewer, "teams": {"edges": []}}}

    _GetViewer = _Viewer

    def _GetDefaultEntity(self) -> dict[str, Any]:
        return self._Viewer()

    def _ServerFeaturesQuery(self) -> dict[str, Any]:
        return {"serverInfo": {"features": []}}

    def _OrganizationCoreWeaveOrganizationID(self, **_: Any) -> dict[str, Any]:
        return {"entity": {"organization": {"coreWeaveOrganizationId": None}}}

    def _GetProjects(self, **_: Any) -> dict[str, Any]:
        nodes = [{"node": _project(name), "cursor": name} for name in self.projects]
        return {"models": {"edges": nodes, "pageInfo": NO_MORE}}

    def _ProjectInternalId(self, projectName: str, entityName: str) -> dict[str, Any]:
        is_there = entityName == ENTITY and projectName in self.projects
        return {"project": {"id": "p", "internalId": "1"} if is_there else None}

    def _UpsertBucket(self, name: str, project: str, **about: Any) -> dict[str, Any]:
        if about.get("entity") not in (None, ENTITY):
            raise Refused(f"permission denied for entity {about['entity']}")
        if project not in self.projects:
            self.projects.append(project)
        is_new = name not in self.runs
        run = self.runs.setdefault(name, ServerRun())
        run.about |= {key: value for key, value in {**about, "project": project}.items() if value is not None}
        if about.get("summaryMetrics"):
            run.summary |= json.loads(about["summaryMetrics"])
        return {"upsertBucket": {"bucket": self._bucket(name), "inserted": is_new}}

    def _RunResumeStatus(self, name: str, project: str, **_: Any) -> dict[str, Any]:
        own = {"id": "p", "name": project, "entity": {"id": "e", "name": ENTITY}}
        if name not in self.runs:
            return {"model": {**own, "bucket": None}}
        run = self.runs[name]
        tails = {"historyTail": json.dumps([json.dumps(row) for row in run.history[-1:]]), "eventsTail": "[]"}
        counts = {"historyLineCount": len(run.history), "eventsLineCount": 0, "logLineCount": 0}
        about = {"summaryMetrics": json.dumps(run.summary), "tags": [], "notes": None, "wandbConfig": '{"t": 1}'}
        return {"model": {**own, "bucket": {**self._bucket(name), **tails, **counts, **about}}}

    def _Run(self, name: str, **_: Any) -> dict[str, Any]:
        if name not in self.runs:
            return {"project": None}
        run = self.runs[name]
        times = {"createdAt": "2026-01-01T00:00:00Z", "heartbeatAt": "2026-01-01T00:00:00Z"}
        user = {"name": ENTITY, "username": ENTITY}
        empty = {"commit": None, "readOnly": False, "description": None, "notes": None, "tags": [], "sweepName": None}
        figures = {"systemMetrics": "{}", "summaryMetrics": json.dumps(run.summary), "historyKeys": {}}
        own = {
            "state": run.state,
            "projectId": 1,
            "group": run.about.get("groupName"),
            "jobType": run.about.get("jobType"),
        }
        return {"project": {"run": {**self._bucket(name), **times, **empty, **figures, **own, "user": user}}}

    def _bucket(self, name: str) -> dict[str, Any]:
        run = self.runs[name]
        project = {"id": "p", "name": run.about["project"], "entity": {"id": "e", "name": ENTITY}}
        shown = {"displayName": run.about.get("displayName"), "config": run.about.get("config", "{}")}
        rest = {"description": None, "sweepName": None, "historyLineCount": len(run.history)}
        return {"id": f"id-{name}", "name": name, "project": project, **shown, **rest}

    def _CreateRunFiles(self, files: list[str], run: str, **_: Any) -> dict[str, Any]:
        found = [{"name": name, "uploadUrl": f"{self.url}/upload/{run}/{name}"} for name in files]
        return {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": found}}

    def _MarkRunFilesUploaded(self, **_: Any) -> dict[str, Any]:
        return {"markRunFilesUploaded": {"success": True}}

    def _ArtifactType(self, **_: Any) -> dict[str, Any]:
        return {"project": {"artifact": None}}

    def _ArtifactMembershipByName(self, **_: Any) -> dict[str, Any]:
        return {"project": {"artifactCollectionMembership": None}}

    def _FetchArtifactDigestAlgorithm(self, **_: Any) -> dict[str, Any]:
        return {"project": {"artifactType": None}}

    def _XXHashDigestsEnabled(self, **_: Any) -> dict[str, Any]:
        return {"entity": {"xxhashDigestsEnabled": False}}

    def _CreateArtifact(self, input: dict[str, Any]) -> dict[str, Any]:
        name, identifier = input["artifactCollectionName"], f"artifact-{len(self.artifacts)}"
        self.artifacts[identifier] = {**input, "name": name, "state": "PENDING"}
        sequence = {"id": f"sequence-{name}", "name": name, "latestArtifact": None}
        return {"createArtifact": {"artifact": {"id": identifier, "state": "PENDING", "artifactSequence": sequence}}}

    def _CreateArtifactManifest(self, name: str, artifactID: str, **_: Any) -> dict[str, Any]:
        file = {"id": "f", "uploadUrl": f"{self.url}/upload/{artifactID}/{name}", "uploadHeaders": []}
        return {"createArtifactManifest": {"artifactManifest": {"id": f"manifest-{artifactID}", "file": file}}}

    def _UpdateArtifactManifest(self, artifactManifestID: str, **_: Any) -> dict[str, Any]:
        file = {"id": "f", "uploadUrl": f"{self.url}/upload/{artifactManifestID}", "uploadHeaders": []}
        return {"updateArtifactManifest": {"artifactManifest": {"id": artifactManifestID, "file": file}}}

    def _CreateArtifactFiles(self, input: dict[str, Any]) -> dict[str, Any]:
        nodes = [
            {
                "node": {
                    "storagePath": f"{one['artifactID']}/{one['name']}",
                    "uploadUrl": f"{self.url}/upload/{one['artifactID']}/{one['name']}",
                    "uploadHeaders": [],
                    "uploadMultipartUrls": None,
                    "artifact": {"id": one["artifactID"]},
                }
            }
            for one in input["artifactFiles"]
        ]
        return {"createArtifactFiles": {"files": {"edges": nodes}}}

    def _CommitArtifact(self, artifactID: str) -> dict[str, Any]:
        self.artifacts[artifactID]["state"] = "COMMITTED"
        return {"commitArtifact": {"artifact": {"id": artifactID, "digest": self.artifacts[artifactID]["digest"]}}}

    def _CreateCustomChart(self, entity: str, chartName: str, spec: str, **about: Any) -> dict[str, Any]:
        check_chart(spec)
        if (identifier := f"{entity}/{chartName}") in self.charts:
            raise Refused(f"chart {identifier} exists")
        self.charts[identifier] = {**about, "spec": json.loads(spec)}
        return {"createCustomChart": {"chart": {"id": identifier}}}

    def _upsertView(self, **view: Any) -> dict[str, Any]:
        self._check_panels(check_report(view["spec"]))
        if not 0 < len(view["displayName"]) <= LONGEST_TITLE or view["projectName"] not in self.projects:
            raise Refused(f"a report needs a title and a project, got {view['displayName']}, {view['projectName']}")
        known = [one["id"] for one in self.reports]
        if view.get("id") and view["id"] not in known:
            raise Refused(f"view {view['id']} not found")
        kept = {**view, "id": view.get("id") or f"r{len(known) + 1}"}
        self.reports = [one for one in self.reports if one["id"] != kept["id"]] + [kept]
        names = ("id", "type", "name", "displayName", "description", "spec")
        project = {"id": "1", "name": view["projectName"], "entityName": view["entityName"]}
        return {"upsertView": {"view": {**{name: kept[name] for name in names}, "project": project}, "inserted": True}}

    def _check_panels(self, spec: dict[str, Any]) -> None:
        """Each run set is of a project that is there, and each chart one that was made or a preset."""
        for grid in (block["metadata"] for block in spec["blocks"] if block["type"] == "panel-grid"):
            for runset in grid["runSets"]:
                if runset.get("project", {}).get("name") not in self.projects:
                    raise Refused(f"run set {runset['name']} is of no project")
            for panel in grid["panelBankSectionConfig"]["panels"]:
                chart = panel["config"].get("panelDefId", PRESETS[0])
                if chart not in self.charts and not chart.startswith(PRESETS):
                    raise Refused(f"there is no chart {chart}")


class _Handler(BaseHTTPRequestHandler):
    server: WandbServer

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        sent = gzip.decompress(sent) if self.headers.get("Content-Encoding") == "gzip" else sent
        if not self._is_allowed():
            self._send({"errors": [{"message": "user is not logged in"}]}, 401)
        elif stream := STREAM.search(self.path):
            self.server.stream(stream[3], json.loads(sent))
            self._send({})
        elif "/graphql" in self.path:
            self._answer(json.loads(sent))
        else:
            self.server.files[self.path.removeprefix("/upload/")] = sent
            self._send({})

    do_PUT = do_POST

    def _answer(self, request: dict[str, Any]) -> None:
        try:
            data = self.server.respond(request["query"], request.get("variables") or {})
        except Refused as reason:
            self.server.refusals.append(str(reason))
            self._send({"errors": [{"message": str(reason)}], "data": None}, 400)
        else:
            self._send({"data": data})

    def _is_allowed(self) -> bool:
        """Files are uploaded to addresses that need no key, and wandb's telemetry has none."""
        needs_key = "/graphql" in self.path or STREAM.search(self.path)
        given = self.headers.get("Authorization", "")
        expected = base64.b64encode(f"api:{self.server.key}".encode()).decode()
        return not needs_key or given == f"Basic {expected}"

    def _send(self, reply: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _project(name: str) -> dict[str, Any]:
    fields = {"createdAt": "2026-01-01T00:00:00Z", "isBenchmark": False, "user": None}
    return {"id": "p", "name": name, "entityName": ENTITY, **fields}


@contextmanager
def wandb_server() -> Iterator[WandbServer]:
    """A server that runs while the body does."""
    with WandbServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
