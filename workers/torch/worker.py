"""A training server on PyTorch that speaks Tinker's JSON over HTTP.

    torchrun --nproc-per-node 2 worker.py --model DIR --checkpoints DIR --lora-rank 16

Process 0 serves; it checks each request, numbers it, and hands it to all processes in turn, which
run it together (`trainer.py`). The address and the file with the token are printed once requests
are taken. An error that leaves models as they were answers the request; any other is told to the
client and ends all processes, and the client goes on from its last state.
"""
import argparse
import collections
import hashlib
import hmac
import http.server
import json
import os
import queue
import secrets
import sys
import tarfile
import threading
import time
import traceback

import torch
import torch.distributed as dist

import checks
from trainer import LINEAR, Refused, Trainer

PROTOCOL = 1
KEPT_RESULTS = 4096
LONG_POLL_SECS = 20
LINGER_SECS = 5  # a client may still fetch the error that ends the worker
MODEL_OPS = ("forward", "forward_backward", "optim_step", "zero_grad", "save_weights", "load_weights",
             "save_weights_for_sampler", "unload_model")
OPS = (*MODEL_OPS, "create_model", "asample")


def encode(value):
    return json.dumps(value, allow_nan=False).encode()


class Future:
    def __init__(self):
        self.ready, self.status, self.body, self.fetched = threading.Event(), None, b"", False

    def set(self, status, body):
        self.status, self.body = status, body
        self.ready.set()


class Desk:
    """Requests that were taken, and their results. A request seen again gets the first one's."""

    def __init__(self, options):
        self.lock, self.jobs, self.kept_bytes = threading.Lock(), queue.Queue(options.max_waiting), options.kept_bytes
        self.futures, self.seen, self.last_sign, self.fatal = collections.OrderedDict(), {}, time.monotonic(), None

    def submit(self, op, body, job):
        key, digest = self.identity(op, body)
        with self.lock:
            if self.fatal:
                raise checks.Bad(500, self.fatal)
            if key in self.seen:
                known, answer = self.seen[key]
                if known != digest:
                    raise checks.Bad(409, f"sequence number {key[-1]} was used for another request")
                return answer
            answer = {"request_id": str(len(self.seen) + 1)}
            if op == "create_model":
                answer["model_id"] = job["model_id"] = "model_" + secrets.token_hex(6)
            future = Future()
            try:
                self.jobs.put_nowait((op, job, future))
            except queue.Full:
                raise checks.Bad(503, "too many requests wait; fetch results before sending more") from None
            # Requests without a number are never seen again, so their key is their own.
            self.seen[key or (answer["request_id"],)] = (digest, answer)
            self.futures[answer["request_id"]] = future
            self.forget()
            return answer

    def identity(self, op, body):
        digest = hashlib.sha256(json.dumps([op, body], sort_keys=True).encode()).digest()
        if op == "create_model":
            return ("session", body["session_id"], body["model_seq_id"]), digest
        if body.get("seq_id") is not None and "model_id" in body:
            return ("model", body["model_id"], body["seq_id"]), digest
        return None, digest

    def forget(self):
        """Drops the oldest results beyond the bytes that may be kept; their numbers stay known."""
        total = sum(len(it.body) for it in self.futures.values())
        for name in list(self.futures):
            few = total <= self.kept_bytes and len(self.futures) <= KEPT_RESULTS
            if few or not self.futures[name].ready.is_set():
                return
            total -= len(self.futures.pop(name).body)

    def fetch(self, name):
        with self.lock:
            future = self.futures.get(name)
            known = name.isdigit() and 0 < int(name[:18]) <= len(self.seen)
        if future is None:
            raise checks.Bad(410 if known else 404, f"the result of request `{name}` is {'no longer kept' if known else 'unknown'}")
        if not future.ready.wait(LONG_POLL_SECS):
            raise checks.Bad(408, f"request `{name}` is not done yet; ask again")
        future.fetched = True
        return future.status, future.body

    def fail_all(self, message):
        with self.lock:
            self.fatal = message
            pending = [it for it in self.futures.values() if not it.ready.is_set()]
        for future in pending:
            future.set(500, encode({"detail": message, "fatal": True}))
        until = time.monotonic() + LINGER_SECS
        while time.monotonic() < until and not all(it.fetched for it in pending):
            time.sleep(0.1)
        time.sleep(0.3)  # for the answer to reach the wire


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 90  # seconds that a client may stay silent

    def log_message(self, *_):
        pass

    def reply(self, status, body):
        body = body if isinstance(body, bytes) else encode(body)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status in (401, 411, 413):  # the body was not read, so the connection cannot go on
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body)

    def guarded(self, serve):
        try:
            self.check_token()
            self.server.desk.last_sign = time.monotonic()
            serve()
        except checks.Bad as error:
            self.reply(error.status, {"detail": error.detail})
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except Exception as error:  # a bug of this file must not take the connection with it
            traceback.print_exc()
            self.reply(500, {"detail": f"{type(error).__name__}: {error}"})

    def check_token(self):
        bearer = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        for given in (bearer, self.headers.get("X-API-Key") or ""):
            if hmac.compare_digest(given.encode(), self.server.token.encode()):
                return
        raise checks.Bad(401, "the token is missing or wrong; send `Authorization: Bearer TOKEN`")

    def do_GET(self):
        self.guarded(self.get)

    def do_POST(self):
        self.guarded(self.post)

    def get(self):
        parts = self.path.strip("/").split("/")
        if parts == ["api", "v1", "get_server_capabilities"]:
            return self.reply(200, self.server.capabilities)
        if parts in (["api", "v1", "healthz"], ["healthz"]):
            return self.reply(200, {"status": "ok"})
        if parts[:3] == ["api", "v1", "training_runs"] and len(parts) == 7 and parts[6] == "archive":
            return self.archive(checks.name(parts[3], "model"), checks.name(parts[5], "checkpoint"))
        raise checks.Bad(404, f"no such address: {self.path[:200]}")

    def archive(self, model, name):
        """An export as a tar.gz. Its length is not known beforehand: the end of the connection ends it."""
        folder = os.path.join(self.server.checkpoints, model, "sampler_weights", name)
        if not os.path.isdir(folder):
            raise checks.Bad(404, f"no export `{name}` of model `{model}`")
        self.send_response(200)
        self.send_header("Content-Type", "application/gzip")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        with tarfile.open(fileobj=self.wfile, mode="w|gz") as tar:
            for file in sorted(os.listdir(folder)):
                tar.add(os.path.join(folder, file), file)

    def post(self):
        if not self.path.startswith("/api/v1/"):
            raise checks.Bad(404, f"no such address: {self.path[:200]}")
        op = self.path.removeprefix("/api/v1/")
        body = checks.body(self.headers, self.rfile, self.server.limits)
        if op in OPS:
            job = checks.job(op, body, self.server.limits)
            return self.reply(200, self.server.desk.submit(op, body, job))
        if op == "retrieve_future":
            return self.reply(*self.server.desk.fetch(checks.text(body, "request_id")))
        if op == "create_session":
            return self.reply(200, {"session_id": "session_" + secrets.token_hex(6), "type": op})
        if op == "session_heartbeat":
            return self.reply(200, {"session_id": checks.text(body, "session_id"), "type": op})
        raise checks.Bad(404, f"no such call: `{op[:80]}`; known are {', '.join(OPS)}")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, options, trainer, desk, token):
        self.desk, self.token, self.room = desk, token, threading.BoundedSemaphore(64)
        self.checkpoints = options.checkpoints
        self.limits = checks.Limits(options.max_request_bytes, trainer.vocab, min(trainer.context, options.micro_tokens), options.model)
        self.capabilities = {
            "supported_models": [{"model_name": options.model, "max_context_length": self.limits.tokens}],
            "supported_loss_fns": ["cross_entropy", "importance_sampling"],
            "worker": {"name": "critique-rl-torch", "protocol": PROTOCOL, "processes": trainer.world, "vocab": trainer.vocab,
                       "lora": trainer.about()["lora"], "dtype": options.dtype, "device": trainer.device.type,
                       "temperature": True, "torch": torch.__version__},
        }
        super().__init__((options.host, options.port), Handler)

    def process_request(self, request, address):
        if not self.room.acquire(blocking=False):
            return self.shutdown_request(request)
        super().process_request(request, address)

    def process_request_thread(self, request, address):
        try:
            super().process_request_thread(request, address)
        finally:
            self.room.release()

    def handle_error(self, request, address):
        pass  # a client that went away in the middle


def watch(store, desk, rank):
    """Ends this process once any process met an error that it cannot go on from: the others may
    wait for it in a collective, for ever."""
    while not store.check(["fatal"]):
        time.sleep(0.5)
    message = store.get("fatal").decode()
    if rank == 0:
        desk.fail_all(message)
    else:
        time.sleep(LINGER_SECS + 2)  # process 0 tells the client first
    print(f"critique-rl worker, process {rank}: {message}", file=sys.stderr, flush=True)
    os._exit(1)


def carry_out(trainer, op, job, store):
    try:
        # Results are kept as they are sent: their bytes are what is counted.
        return 200, encode(getattr(trainer, op)(job))
    except Refused as error:
        return 400, encode({"detail": str(error)})
    except Exception as error:
        traceback.print_exc()
        store.set("fatal", f"process {trainer.rank} failed in {op}: {type(error).__name__}: {error}; "
                           "the worker ends: start it again and load the last state")
        time.sleep(3600)  # `watch` ends the process


def work(options, trainer, desk, control, store):
    while True:
        box = [None]
        if trainer.rank == 0:
            op, job, future = next_job(options, desk)
            box = [(op, job)]
        dist.broadcast_object_list(box, 0, group=control)
        op, job = box[0]
        if op == "quit":
            return
        if op != "nothing":
            result = carry_out(trainer, op, job, store)
            if trainer.rank == 0:
                future.set(*result)


def next_job(options, desk):
    """The next request; now and then nothing, lest the others' wait for a broadcast time out."""
    try:
        return desk.jobs.get(timeout=30)
    except queue.Empty:
        silent = time.monotonic() - desk.last_sign
        if options.idle_exit and silent > options.idle_exit:
            print(f"critique-rl worker: no sign of a client for {silent:.0f} s; ends", file=sys.stderr, flush=True)
            return "quit", {}, None
        return "nothing", {}, None


def read_token(options):
    """The token of the environment, or a fresh one in a file that only this user can read."""
    token = os.environ.get("CRITIQUE_RL_WORKER_TOKEN")
    if token:
        return token, "of CRITIQUE_RL_WORKER_TOKEN"
    path = os.path.join(options.checkpoints, "token")
    token = secrets.token_urlsafe(32)
    if os.path.exists(path):
        os.remove(path)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(token)
    return token, f"in {path}"


def parse(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("--model", required=True, help="folder in Hugging Face layout, any causal model that transformers loads")
    p.add_argument("--checkpoints", required=True, help="folder of states and exports; several nodes must share it")
    p.add_argument("--host", default="127.0.0.1")
    p.add_argument("--port", type=int, default=8765, help="0 takes a free one")
    p.add_argument("--lora-rank", type=int, default=0, help="0 trains all weights")
    p.add_argument("--lora-alpha", type=float, default=32.0)
    p.add_argument("--target-modules", default=",".join(LINEAR))
    p.add_argument("--slots", type=int, default=3, help="models at one time: adapters, or copies of full weights")
    p.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32", help="of products; masters stay in float32")
    p.add_argument("--micro-tokens", type=int, default=16384, help="padded tokens of a pass in one process")
    p.add_argument("--no-recompute", action="store_true", help="keep activations instead of computing them again")
    p.add_argument("--replicas", type=int, default=1, help="copies of the sharded model (HSDP)")
    p.add_argument("--idle-exit", type=float, default=0, help="end after so many seconds without a request; 0: never")
    p.add_argument("--max-request-bytes", type=int, default=64 << 20)
    p.add_argument("--max-waiting", type=int, default=256, help="requests that may wait")
    p.add_argument("--kept-bytes", type=int, default=256 << 20, help="results kept for clients that ask again")
    return p.parse_args(argv)


def main(options=None):
    options = options or parse()
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if cuda else "gloo")
    control = dist.new_group(backend="gloo")
    address = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    # A connection of its own: a store answers one thread at a time. Restarts share the server.
    store = dist.PrefixStore(f"critique-rl/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", dist.TCPStore(*address, is_master=False))
    os.makedirs(options.checkpoints, exist_ok=True)
    trainer, desk = Trainer(options, control), Desk(options)
    threading.Thread(target=watch, args=(store, desk, trainer.rank), daemon=True).start()
    if trainer.rank == 0:
        token, where = read_token(options)
        server = Server(options, trainer, desk, token)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"critique-rl worker: http://{options.host}:{server.server_address[1]} token {where}", flush=True)
    work(options, trainer, desk, control, store)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
