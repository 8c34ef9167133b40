"""A receiver of OTLP, over gRPC and HTTP, from the official protobuf definitions; and a collector that forwards to it."""

import concurrent.futures
import dataclasses
import gzip
import http.server
import pathlib
import platform
import ssl
import threading

import grpc
from brokers import Broker, free_port, until
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as messages
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service

KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}


def value(any_value):
    return getattr(any_value, any_value.WhichOneof("value") or "string_value")


def attributes(pairs) -> dict:
    return {pair.key: value(pair.value) for pair in pairs}


@dataclasses.dataclass
class Span:
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    attributes: dict
    resource: dict
    links: list
    scope: str
    way: str
    headers: dict

    @property
    def service(self) -> str:
        return self.resource["service.name"]

    @property
    def node(self) -> str | None:
        return self.resource.get("service.instance.id")


class Receiver:
    """What it does with requests is `answer`: take, unavailable, hang or refuse."""

    def __init__(self, certificate: pathlib.Path | None = None, key: pathlib.Path | None = None):
        self.spans: list[Span] = []
        self.answer = "take"
        self.requests = 0
        self.changed = threading.Event()
        self.ended = threading.Event()
        self.grpc = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
        service.add_TraceServiceServicer_to_server(Grpc(self), self.grpc)
        scheme = "https" if certificate else "http"
        if certificate:
            credentials = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
            grpc_port = self.grpc.add_secure_port("127.0.0.1:0", credentials)
        else:
            grpc_port = self.grpc.add_insecure_port("127.0.0.1:0")
        self.grpc.start()
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.urls = {
            "grpc": f"{scheme}://localhost:{grpc_port}",
            "http/protobuf": f"{scheme}://localhost:{self.http.server_port}",
        }

    def receive(self, message, way: str, headers: dict) -> None:
        for of_process in message.resource_spans:
            resource = attributes(of_process.resource.attributes)
            for of_scope in of_process.scope_spans:
                for span in of_scope.spans:
                    self.spans.append(
                        Span(
                            name=span.name,
                            kind=KINDS[span.kind],
                            trace=span.trace_id.hex(),
                            id=span.span_id.hex(),
                            parent=span.parent_span_id.hex(),
                            attributes=attributes(span.attributes),
                            resource=resource,
                            links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
                            scope=of_scope.scope.name,
                            way=way,
                            headers=headers,
                        )
                    )

    def decide(self) -> str:
        self.requests += 1
        answer = self.answer
        if answer == "hang":
            self.ended.wait()
        return answer

    def of(self, trace: str) -> list[Span]:
        return [span for span in self.spans if span.trace == trace]

    def wait(self, what: str, condition, patience: float = 30.0):
        """Waits until the condition gives something true of the spans of all time."""

        def show():
            return f"{what}: {[(span.service, span.name, span.trace[:8]) for span in self.spans[-20:]]}"

        return until(show, lambda: condition(list(self.spans)), patience)

    def close(self) -> None:
        self.ended.set()
        self.http.shutdown()
        self.http.server_close()
        self.grpc.stop(None)


class Grpc(service.TraceServiceServicer):
    def __init__(self, receiver: Receiver):
        self.receiver = receiver

    def Export(self, request, context):
        answer = self.receiver.decide()
        if answer == "unavailable":
            context.abort(grpc.StatusCode.UNAVAILABLE, "later")
        if answer != "take":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "never")
        headers = {name: text for name, text in context.invocation_metadata()}
        self.receiver.receive(request, "grpc", headers)
        return messages.ExportTraceServiceResponse()


def handler(receiver: Receiver):
    class Http(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            answer = receiver.decide()
            if answer == "unavailable":
                return self.reply(503)
            if answer != "take" or self.path != "/v1/traces" or self.headers["content-type"] != "application/x-protobuf":
                return self.reply(400)
            if self.headers["content-encoding"] == "gzip":
                body = gzip.decompress(body)
            headers = {name.lower(): text for name, text in self.headers.items()}
            receiver.receive(messages.ExportTraceServiceRequest.FromString(body), "http/protobuf", headers)
            return self.reply(200, messages.ExportTraceServiceResponse().SerializeToString())

        def reply(self, status: int, body: bytes = b""):
            self.send_response(status)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Http


class Rotel(Broker):
    """A collector in Rust; what it takes it sends on to a receiver."""

    # requirements.txt has it for these only.
    runs_here = (platform.system(), platform.machine()) == ("Linux", "x86_64")

    def __init__(self, receiver: Receiver):
        super().__init__()
        import rotel

        program = pathlib.Path(rotel.__file__).parent / "rotel-agent"
        ports = {"grpc": free_port(), "http/protobuf": free_port()}
        process = self.launch(
            program,
            "start",
            *("--otlp-grpc-endpoint", f"127.0.0.1:{ports['grpc']}"),
            *("--otlp-http-endpoint", f"127.0.0.1:{ports['http/protobuf']}"),
            *("--exporter", "otlp", "--otlp-exporter-endpoint", receiver.urls["grpc"]),
            *("--batch-timeout", "50ms", "--pid-file", self.folder / "pid", "--log-file", self.folder / "log"),
        )
        for port in ports.values():
            self.wait(process, port)
        self.urls = {way: f"http://127.0.0.1:{port}" for way, port in ports.items()}
