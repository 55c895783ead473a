"""Tests of the worker against plain single-process torch, on tiny models made here.

    python -m unittest -v test_worker          # in workers/torch; `check.sh` makes the environment

Each class starts one worker (gloo) and asks it as a client would.
"""
import http.client
import io
import json
import os
import multiprocessing
import random
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import peft
import torch
import transformers
from safetensors.torch import load_file

HERE = os.path.dirname(os.path.abspath(__file__))
TOKEN = "a token of the tests"
ADAM = {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.1, "grad_clip_norm": 1.0}
WORK = None
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["trainer", "worker", "transformers.models.qwen2.modeling_qwen2"])


def setUpModule():
    global WORK
    WORK = tempfile.mkdtemp(prefix="worker-test-")
    make_model(model_dir())


def make_model(folder):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    config = transformers.Qwen2Config(vocab_size=97, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
                                      num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=True, initializer_range=0.3)
    transformers.Qwen2ForCausalLM(config).save_pretrained(folder)


def tearDownModule():
    shutil.rmtree(WORK, ignore_errors=True)


def model_dir():
    return os.path.join(WORK, "model")


RANDOM = random.Random(1)
SEQUENCES = [[RANDOM.randrange(97) for _ in range(n)] for n in (12, 20, 33, 7, 7)]
WANTED = [[RANDOM.gauss(0, 1) for _ in s[1:]] for s in SEQUENCES]  # d loss / d log-prob


class Client:
    def __init__(self, port):
        self.port, self.seq = port, {}

    def http(self, method, path, body=None, token=TOKEN, raw=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        data = raw if raw is not None else None if body is None else json.dumps(body)
        connection.request(method, path, data, {"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, data

    def post(self, call, body, **how):
        status, data = self.http("POST", f"/api/v1/{call}", body, **how)
        return status, json.loads(data)

    def fetch(self, submitted):
        while True:
            status, answer = self.post("retrieve_future", {"request_id": submitted["request_id"]})
            if status != 408:
                return status, answer

    def try_call(self, call, body):
        status, answer = self.post(call, body)
        return self.fetch(answer) if status == 200 else (status, answer)

    def call(self, call, **body):
        if "model_id" in body:
            body["seq_id"] = self.seq[body["model_id"]] = self.seq.get(body["model_id"], 0) + 1
        status, answer = self.try_call(call, body)
        assert status == 200, (call, status, answer)
        return answer

    def create(self, rank, **more):
        self.created = getattr(self, "created", 0) + 1
        body = {"session_id": "session_0", "model_seq_id": self.created, "base_model": model_dir(), "lora_config": {"rank": rank, "seed": 7}}
        return self.call("create_model", **body, **more)["model_id"]

    def forward(self, model, sequences=SEQUENCES, temperature=1.0):
        data = [datum(s, weights=[0.0] * (len(s) - 1)) for s in sequences]
        given = {"loss_fn": "cross_entropy", "data": data, "loss_fn_config": {"temperature": temperature}}
        return [o["logprobs"]["data"] for o in self.call("forward", model_id=model, forward_input=given)["loss_fn_outputs"]]

    def backward(self, model, sequences, wanted, old=None, temperature=1.0):
        config = {"temperature": temperature}
        if old is None:
            data = [datum(s, weights=[-g for g in w]) for s, w in zip(sequences, wanted)]
            given = {"loss_fn": "cross_entropy", "data": data, "loss_fn_config": config}
        else:
            data = [datum(s, advantages=[-g for g in w], logprobs=o) for s, w, o in zip(sequences, wanted, old)]
            given = {"loss_fn": "importance_sampling", "data": data, "loss_fn_config": config}
        return self.call("forward_backward", model_id=model, forward_backward_input=given)

    def step(self, model, adam=ADAM):
        return self.call("optim_step", model_id=model, adam_params=adam)["metrics"]

    def train_step(self, model):
        """One update in two calls, the second by importance sampling."""
        old = self.forward(model)
        self.backward(model, SEQUENCES[:2], WANTED[:2])
        self.backward(model, SEQUENCES[2:], WANTED[2:], old[2:])
        assert self.forward(model) == old  # and gathers parameters, which the step must not mind
        return old, self.step(model)["grad_norm"]

    def export(self, model, name):
        self.call("save_weights_for_sampler", model_id=model, path=name)
        status, data = self.http("GET", f"/api/v1/training_runs/{model}/checkpoints/{name}/archive")
        assert status == 200
        folder = os.path.join(WORK, f"{model}-{name}")
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            tar.extractall(folder, filter="data")
        return folder


def datum(sequence, **inputs):
    tensor = lambda x, kind="float32": {"data": x, "dtype": kind, "shape": [len(x)]}
    fields = {"target_tokens": tensor(sequence[1:], "int64"), **{k: tensor(v) for k, v in inputs.items()}}
    return {"model_input": {"chunks": [{"type": "encoded_text", "tokens": sequence[:-1]}]}, "loss_fn_inputs": fields}


def log_probs(net, sequence, temperature=1.0):
    ids = torch.tensor([sequence])
    logits = net(input_ids=ids[:, :-1]).logits.float() / temperature
    return torch.log_softmax(logits, -1)[0].gather(1, ids[0, 1:, None])[:, 0]


class Reference:
    """Single-process torch, as one would write it."""

    def __init__(self, adapter=None):
        self.net = transformers.AutoModelForCausalLM.from_pretrained(model_dir(), dtype=torch.float32)
        if adapter:
            self.net = peft.PeftModel.from_pretrained(self.net, adapter, is_trainable=True)
        params = [p for p in self.net.parameters() if p.requires_grad]
        groups = [{"params": [p for p in params if p.ndim >= 2], "weight_decay": ADAM["weight_decay"]},
                  {"params": [p for p in params if p.ndim < 2], "weight_decay": 0.0}]
        self.params = params
        self.optimizer = torch.optim.AdamW(groups, lr=ADAM["learning_rate"], betas=(ADAM["beta1"], ADAM["beta2"]), eps=ADAM["eps"])

    def all_log_probs(self, temperature=1.0):
        with torch.no_grad():
            return [log_probs(self.net, s, temperature).tolist() for s in SEQUENCES]

    def train_step(self):
        old = self.all_log_probs()
        for sequence, wanted in zip(SEQUENCES, WANTED):
            (log_probs(self.net, sequence) * torch.tensor(wanted)).sum().backward()
        norm = torch.nn.utils.clip_grad_norm_(self.params, ADAM["grad_clip_norm"]).item()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return old, norm


def furthest(a, b):
    assert [len(x) for x in a] == [len(x) for x in b]
    return max(abs(x - y) for p, q in zip(a, b) for x, y in zip(p, q))


def run_rank(environment, log, argv):
    """One process of a worker, in a copy of a process that has torch loaded already."""
    os.environ.update(environment)
    with open(log, "a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    import worker
    worker.main(worker.parse(argv))


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def distance(a, b):
    """Root of the mean squares of differences, over that of the numbers."""
    pairs = [(x, y) for p, q in zip(a, b) for x, y in zip(p, q)]
    return (sum((x - y) ** 2 for x, y in pairs) / sum(y * y for _, y in pairs)) ** 0.5


class Worker:
    """Processes as a launcher starts them: with `torchrun`, or with its variables set, as a batch
    system does."""

    def __init__(self, processes, *flags, checkpoints=None, torchrun=None):
        self.checkpoints = checkpoints or tempfile.mkdtemp(dir=WORK)
        self.log = os.path.join(self.checkpoints, f"log-{processes}")
        argv = ["--model", model_dir(), "--checkpoints", self.checkpoints, "--port", "0", "--idle-exit", "1800", *flags]
        common = {"CRITIQUE_RL_WORKER_TOKEN": TOKEN, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        if torchrun:
            command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes), "--rdzv-backend", "c10d",
                       "--rdzv-endpoint", "127.0.0.1:0", torchrun, *argv]
            with open(self.log, "w") as log:
                self.started = [subprocess.Popen(command, cwd=HERE, env={**os.environ, **common}, stdout=log, stderr=log)]
        else:
            ranks = [{"RANK": str(i), "LOCAL_RANK": str(i), "WORLD_SIZE": str(processes), **common} for i in range(processes)]
            self.started = [FORKS.Process(target=run_rank, args=(it, self.log, argv)) for it in ranks]
            for it in self.started:
                it.start()
        self.client = Client(self.wait_for_port())

    def output(self):
        if not os.path.exists(self.log):
            return ""
        with open(self.log) as file:
            return file.read()

    def wait_for_port(self):
        until = time.time() + 600
        while time.time() < until and not any(self.codes()):
            if found := re.search(r"critique-rl worker: http://127.0.0.1:(\d+)", self.output()):
                return int(found[1])
            time.sleep(0.1)
        self.stop()
        raise AssertionError("the worker did not start:\n" + self.output())

    def codes(self):
        return [it.poll() if isinstance(it, subprocess.Popen) else it.exitcode for it in self.started]

    def stop(self):
        for it in self.started:
            it.terminate()
        for it in self.started:
            it.wait() if isinstance(it, subprocess.Popen) else it.join()


class Running(unittest.TestCase):
    processes, flags, rank = 1, [], 0

    @classmethod
    def setUpClass(cls):
        cls.worker = Worker(cls.processes, *cls.flags)
        cls.client = cls.worker.client

    @classmethod
    def tearDownClass(cls):
        cls.worker.stop()

    def assert_three_steps_equal(self, model, reference):
        for step in range(3):
            (old, norm), (want_old, want_norm) = self.client.train_step(model), reference.train_step()
            self.assertLess(furthest(old, want_old), 2e-5, f"log-probs before step {step}")
            self.assertLess(abs(norm / want_norm - 1), 1e-5, f"gradient norm of step {step}")
        self.assertLess(furthest(self.client.forward(model), reference.all_log_probs()), 2e-5)

    def assert_weights_equal(self, folder, reference):
        found = {}
        for file in os.listdir(folder):
            if file.endswith(".safetensors"):
                found |= load_file(os.path.join(folder, file))
        own = reference.net.state_dict()
        pairs = [(value, own[name.replace(".weight", ".default.weight") if self.rank else name]) for name, value in found.items()]
        self.assertGreater(len(pairs), 30)
        self.assertLess(max((a - b).abs().max().item() for a, b in pairs), 1e-5)


class Lora2(Running):
    """An adapter on two processes, micro-batches of few tokens."""

    processes, rank = 2, 4
    flags = ["--lora-rank", "4", "--lora-alpha", "8", "--micro-tokens", "64"]

    def test_log_probs_at_any_temperature(self):
        model = self.client.create(self.rank)
        for temperature in (1.0, 0.7):
            want = Reference().all_log_probs(temperature)
            self.assertLess(furthest(self.client.forward(model, temperature=temperature), want), 2e-5)
        self.client.call("unload_model", model_id=model)

    def test_three_steps_equal_peft_and_export_holds_them(self):
        model = self.client.create(self.rank)
        reference = Reference(self.client.export(model, "fresh"))
        self.assert_three_steps_equal(model, reference)
        self.assert_weights_equal(self.client.export(model, "trained"), reference)
        self.client.call("unload_model", model_id=model)

    def test_a_loaded_state_replays_with_difference_0(self):
        model = self.client.create(self.rank)
        self.client.train_step(model)
        path = self.client.call("save_weights", model_id=model, path="one")["path"]
        first = [self.client.train_step(model) for _ in range(2)]
        self.client.backward(model, SEQUENCES[:1], WANTED[:1])  # what is accumulated goes with the load
        again = self.client.create(self.rank)
        for target in (model, again):
            self.client.call("load_weights", model_id=target, path=path, optimizer=True)
            self.assertEqual([self.client.train_step(target) for _ in range(2)], first)
            self.client.call("unload_model", model_id=target)

    def test_a_frozen_reference_stays(self):
        model, base = self.client.create(self.rank), self.client.create(self.rank, frozen=True)
        want = Reference().all_log_probs()
        self.client.train_step(model)
        self.assertLess(furthest(self.client.forward(base), want), 2e-5)
        path = self.client.call("save_weights", model_id=model, path="stage1")["path"]
        self.client.call("load_weights", model_id=base, path=path, optimizer=False)
        then = self.client.forward(model)
        self.assertGreater(furthest(then, want), 1e-3)
        self.client.train_step(model)
        self.assertEqual(self.client.forward(base), then)
        status, answer = self.client.try_call("optim_step", {"model_id": base, "adam_params": ADAM})
        self.assertEqual((status, answer["detail"]), (400, "this model is frozen: it takes no step"))
        for target in (model, base):
            self.client.call("unload_model", model_id=target)

    def test_a_request_seen_twice_is_done_once(self):
        model = self.client.create(self.rank)
        given = {"loss_fn": "cross_entropy", "data": [datum(SEQUENCES[0], weights=WANTED[0])]}
        backward = {"model_id": model, "seq_id": 1, "forward_backward_input": given}
        sent = [self.client.post("forward_backward", backward)[1] for _ in range(3)]
        self.assertEqual(sent[0], sent[1])
        step = {"model_id": model, "seq_id": 2, "adam_params": ADAM}
        sent = [self.client.post("optim_step", step) for _ in range(3)]
        results = [self.client.fetch(answer) for _, answer in sent]
        self.assertEqual(results[0], results[2])
        self.assertEqual(results[0][1]["metrics"]["steps"], 1)
        self.client.seq[model] = 2
        self.client.backward(model, SEQUENCES[:1], WANTED[:1])
        self.assertEqual(self.client.step(model)["steps"], 2)
        status, answer = self.client.post("optim_step", {**step, "adam_params": {**ADAM, "beta1": 0.5}})
        self.assertEqual((status, answer["detail"]), (409, "sequence number 2 was used for another request"))
        self.client.call("unload_model", model_id=model)

    def test_a_norm_that_is_not_finite_takes_no_step(self):
        model = self.client.create(self.rank)
        before = self.client.forward(model)
        self.client.backward(model, SEQUENCES[:1], [[3e38] * 11], before[:1])
        metrics = self.client.step(model)
        self.assertEqual((metrics["grad_norm"], metrics["skipped"], metrics["steps"]), (None, 1.0, 0))
        self.assertEqual(self.client.forward(model), before)
        self.client.call("unload_model", model_id=model)

    def test_a_loss_that_is_not_finite_drops_gradients_and_says_so(self):
        model = self.client.create(self.rank)
        given = {"loss_fn": "importance_sampling", "data": [datum(SEQUENCES[0], advantages=[1.0] * 11, logprobs=[-1e9] * 11)]}
        status, answer = self.client.try_call("forward_backward", {"model_id": model, "forward_backward_input": given})
        self.assertEqual(status, 400)
        self.assertRegex(answer["detail"], r"data\[0\]: .* not finite .* were dropped")
        status, answer = self.client.try_call("optim_step", {"model_id": model, "adam_params": ADAM})
        self.assertRegex(answer["detail"], "gradients were dropped after an error; load_weights")
        self.client.call("zero_grad", model_id=model)
        self.client.train_step(model)
        self.client.call("unload_model", model_id=model)

    def test_samples_depend_on_their_seed_and_carry_their_log_probs(self):
        model = self.client.create(self.rank)
        self.client.train_step(model)
        path = self.client.call("save_weights_for_sampler", model_id=model, path="now")["path"]
        ask = {"model_path": path, "num_samples": 2, "prompt": {"chunks": [{"tokens": SEQUENCES[0]}]},
               "sampling_params": {"max_tokens": 5, "seed": 3, "temperature": 0.7}}
        found = self.client.call("asample", **ask)["sequences"]
        ask["num_samples"], ask["sampling_params"] = 1, {**ask["sampling_params"], "seed": 4}
        self.assertEqual(self.client.call("asample", **ask)["sequences"][0], found[1])
        scored = self.client.forward(model, [SEQUENCES[0] + found[1]["tokens"]], 0.7)[0][-5:]
        self.assertLess(furthest([scored], [found[1]["logprobs"]]), 2e-5)
        self.client.train_step(model)
        status, answer = self.client.try_call("asample", ask)
        self.assertRegex(answer["detail"], "is not what model .* holds now")
        self.client.call("unload_model", model_id=model)

    def test_malformed_requests_are_named_and_change_nothing(self):
        model = self.client.create(self.rank)
        good = datum(SEQUENCES[0], weights=WANTED[0])
        given = lambda *data, **more: {"model_id": model, "forward_input": {"loss_fn": "cross_entropy", "data": list(data), **more}}
        spoilt = lambda **fields: {**good, "loss_fn_inputs": {**good["loss_fn_inputs"], **fields}}
        adam = lambda **more: {"model_id": model, "adam_params": {**ADAM, **more}}
        cases = [
            ("forward", given(), r"data: found 0 datums; 1 to 1024"),
            ("forward", given(*[good] * 1025), r"found 1025 datums"),
            ("forward", given(good, loss_fn="ppo"), r"loss_fn: found 'ppo'; known are"),
            ("forward", given(good, {}), r"data\[1\].model_input: found nothing"),
            ("forward", given(datum([5, 97, 5], weights=[0, 0])), r"data\[0\].model_input\[1\]: found 97; a token id below 97"),
            ("forward", given(datum([5, 6, -1], weights=[0, 0])), r"target_tokens\[1\]: found -1"),
            ("forward", given(datum([5] * 66, weights=[0] * 65)), r"found 65 tokens; 1 to 64"),
            ("forward", given(spoilt(weights={"data": [1.0]})), r"data\[0\].loss_fn_inputs.weights: found 1 values; one for each of 11"),
            ("forward", given(spoilt(weights={"data": [True] * 11})), r"weights\[0\]: found True; a finite number"),
            ("forward", given(spoilt(weights={"data": [float("nan")] * 11})), r"weights\[0\]: found nan; a finite number"),
            ("forward", given(spoilt(weights={"data": [1e39] * 11})), r"a finite number is wanted"),
            ("forward", given(good, loss_fn_config={"temperature": 0}), r"temperature: found 0.0; 0.001 to 1000"),
            ("forward", {**given(good), "model_id": "model_none"}, r"unknown model `model_none`; create_model"),
            ("optim_step", adam(learning_rate=-1), r"learning_rate: found -1.0"),
            ("optim_step", adam(beta1=1), r"beta1: found 1.0"),
            ("optim_step", adam(eps="x"), r"eps: found 'x'; a finite number"),
            ("optim_step", {"model_id": model, "seq_id": 1.5, "adam_params": ADAM}, r"seq_id: found 1.5; a whole number"),
            ("save_weights", {"model_id": model, "path": "../../x"}, r"path: found '../../x'; letters"),
            ("load_weights", {"model_id": model, "path": "/etc/passwd"}, r"path: found '/etc/passwd'; tinker://"),
            ("load_weights", {"model_id": model, "path": "tinker://a/weights/b"}, r"no state at"),
            ("create_model", {"session_id": "s", "model_seq_id": 1, "base_model": "gpt-5"}, r"this worker serves"),
            ("create_model", {"session_id": "s", "model_seq_id": 2, "base_model": model_dir(), "lora_config": {"rank": 8}}, r"started for 4"),
            ("retrieve_future", {"request_id": "9999"}, r"unknown"),
            ("retrieve_future", {"request_id": 3}, r"request_id: found 3; a text is wanted"),
            ("no_such_call", {}, r"no such call: `no_such_call`"),
        ]
        for call, body, want in cases:
            with self.subTest(want):
                status, answer = self.client.try_call(call, body)
                self.assertIn(status, (400, 404, 422))
                self.assertRegex(answer["detail"], want)
        for raw, want in ((b"{", "not JSON"), (b"[" * 100_000, "not JSON"), (b"3", "not a JSON object"), (b"\xff", "not JSON")):
            status, answer = self.client.post("forward", None, raw=raw)
            self.assertIn(status, (400, 422))
            self.assertRegex(answer["detail"], want)
        self.assertLess(furthest(self.client.forward(model), Reference().all_log_probs()), 2e-5)
        self.client.call("unload_model", model_id=model)

    def test_no_call_without_the_token_and_none_too_large(self):
        for token in ("", "wrong", TOKEN + "x"):
            self.assertEqual(self.client.http("GET", "/api/v1/get_server_capabilities", token=token)[0], 401)
        connection = http.client.HTTPConnection("127.0.0.1", self.client.port, timeout=30)
        connection.putrequest("POST", "/api/v1/forward")
        connection.putheader("Authorization", f"Bearer {TOKEN}")
        connection.putheader("Content-Length", str(1 << 40))
        connection.endheaders()
        answer = connection.getresponse()
        self.assertEqual((answer.status, b"at most" in answer.read()), (413, True))
        connection.close()

    def test_places_for_models_are_counted(self):
        models = [self.client.create(self.rank) for _ in range(3)]
        body = {"session_id": "more", "model_seq_id": 1, "base_model": model_dir(), "lora_config": {"rank": 4}}
        status, answer = self.client.try_call("create_model", body)
        self.assertEqual((status, "all 3 places" in answer["detail"]), (400, True))
        for model in models:
            self.client.call("unload_model", model_id=model)


class Full(Running):
    """All weights, on one process; then its state on two."""

    flags = ["--slots", "2"]

    def test_three_steps_equal_torch_whatever_the_processes(self):
        model, base = self.client.create(0), self.client.create(0, frozen=True)
        reference = Reference()
        self.assert_three_steps_equal(model, reference)
        folder = self.client.export(model, "trained")
        self.assert_weights_equal(folder, reference)
        net = transformers.AutoModelForCausalLM.from_pretrained(folder)
        self.assertLess(furthest([log_probs(net, SEQUENCES[0]).tolist()], reference.all_log_probs()[:1]), 2e-5)
        self.assertLess(furthest(self.client.forward(base), Reference().all_log_probs()), 2e-5)
        path = self.client.call("save_weights", model_id=model, path="three")["path"]
        self.go_on_with_two_processes(path, reference)

    def go_on_with_two_processes(self, path, reference):
        worker = Worker(2, "--micro-tokens", "64", checkpoints=self.worker.checkpoints)
        try:
            self.client = worker.client
            model = self.client.create(0)
            self.client.call("load_weights", model_id=model, path=path)
            self.assert_three_steps_equal(model, reference)
            self.assert_weights_equal(self.client.export(model, "six"), reference)
        finally:
            worker.stop()


class Replicated(Running):
    """Two whole copies (HSDP)."""

    processes, flags = 2, ["--replicas", "2", "--micro-tokens", "64"]

    def test_three_steps_equal_torch(self):
        model, reference = self.client.create(0), Reference()
        self.assert_three_steps_equal(model, reference)
        self.assert_weights_equal(self.client.export(model, "trained"), reference)


class FullBf16(Running):
    """All weights, products in bfloat16."""

    flags = ["--dtype", "bfloat16"]

    def test_masters_stay_in_f32_and_steps_go_the_same_way(self):
        model, reference = self.client.create(0), Reference()
        for _ in range(3):
            (old, norm), (want_old, want_norm) = self.client.train_step(model), reference.train_step()
            # Weights of this model are large, and so are the roundings of products with them.
            self.assertLess(distance(old, want_old), 0.05)
            self.assertLess(abs(norm / want_norm - 1), 0.1)
        # A step far below what bfloat16 can hold beside a weight must not be lost: after many, it shows.
        tiny = {**ADAM, "learning_rate": 1e-4, "weight_decay": 0.0}
        before = self.client.forward(model)
        loss = lambda rows: sum(x * g for row, wanted in zip(rows, WANTED) for x, g in zip(row, wanted))
        for _ in range(20):
            self.client.backward(model, SEQUENCES, WANTED)
            self.client.step(model, tiny)
        self.assertLess(loss(self.client.forward(model)), loss(before) - 0.5)


class LoraBf16(Running):
    """An adapter in f32 on a base in bfloat16."""

    processes, rank, flags = 2, 4, ["--lora-rank", "4", "--lora-alpha", "8", "--dtype", "bfloat16"]

    def test_the_adapter_trains_in_f32(self):
        model = self.client.create(self.rank)
        adapter = self.client.export(model, "fresh")
        reference = Reference(adapter)
        for _ in range(3):
            (old, norm), (want_old, want_norm) = self.client.train_step(model), reference.train_step()
            self.assertLess(distance(old, want_old), 0.05)
            self.assertLess(abs(norm / want_norm - 1), 0.1)
        trained = load_file(os.path.join(self.client.export(model, "trained"), "adapter_model.safetensors"))
        self.assertEqual({x.dtype for x in trained.values()}, {torch.float32})
        fine = [x for x in trained.values() if not torch.equal(x, x.bfloat16().float())]
        self.assertGreater(len(fine), len(trained) // 2)


class Failing(unittest.TestCase):
    """An error that one process meets alone is the error of all."""

    def test_an_error_of_one_process_is_told_by_all_and_ends_them(self):
        worker = Worker(2, torchrun=os.path.abspath(__file__))
        try:
            model = worker.client.create(0)
            given = {"loss_fn": "cross_entropy", "data": [datum(SEQUENCES[0], weights=WANTED[0])] * 4}
            body = {"model_id": model, "seq_id": 1, "forward_backward_input": given}
            begin = time.time()
            status, answer = worker.client.try_call("forward_backward", body)
            self.assertEqual((status, answer["fatal"]), (500, True))
            self.assertRegex(answer["detail"], "process 1 failed in forward_backward: RuntimeError: out of memory, says the test; .* load the last state")
            self.assertLess(time.time() - begin, 60)
            self.assertNotEqual(worker.started[0].wait(60), 0)
            self.assertIn("process 0: process 1 failed", worker.output())
        finally:
            worker.stop()


class Models(unittest.TestCase):
    """What the trainer does with models, without processes."""

    def families(self):
        small = {"vocab_size": 97, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
                 "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 64, "initializer_range": 0.3}
        yield transformers.LlamaConfig(**small), True
        yield transformers.MistralConfig(**small), True
        yield transformers.GPT2Config(vocab_size=97, n_embd=32, n_layer=2, n_head=4, n_positions=64, initializer_range=0.3, bos_token_id=0, eos_token_id=1), True
        yield transformers.Gemma2Config(**small, query_pre_attn_scalar=8, final_logit_softcapping=3.0), False
        yield transformers.GraniteConfig(**small, logits_scaling=4.0), False

    def test_heads_that_scale_or_cap_logits_are_noticed(self):
        import trainer
        for config, plain in self.families():
            with self.subTest(config.model_type):
                net = transformers.AutoModelForCausalLM.from_config(config).eval()
                self.assertEqual(trainer.plain_head(net), plain)
                ids = torch.tensor([SEQUENCES[0]])
                found = trainer.Scorer(net, plain)(ids[:, :-1], ids[:, 1:], 0.7)[0]
                self.assertLess((found - log_probs(net, SEQUENCES[0], 0.7)).abs().max().item(), 1e-5)

    def test_layers_are_computed_again_and_dropout_stays_off(self):
        import trainer
        for config, _ in self.families():
            with self.subTest(config.model_type):
                net = transformers.AutoModelForCausalLM.from_config(config).eval()
                trainer.recompute(net)
                layers, runs = trainer.layers_of(net), []
                self.assertEqual(len(layers), 2)
                part = next(m for m in layers[0].modules() if isinstance(m, torch.nn.LayerNorm) or "Norm" in type(m).__name__)
                part.register_forward_hook(lambda *_: runs.append(1))
                ids = torch.tensor([SEQUENCES[0]])
                scores = [trainer.Scorer(net)(ids[:, :-1], ids[:, 1:], 1.0) for _ in range(2)]
                self.assertTrue(torch.equal(*scores))
                scores[0].sum().backward()
                self.assertEqual(len(runs), 3, "two passes forward, one again")

    def test_shares_are_bounded_even_and_whole(self):
        import trainer
        draw = random.Random(5)
        for _ in range(200):
            world, count, bound = draw.randint(1, 5), draw.randint(1, 40), 64
            data = [{"targets": [0] * draw.randint(1, bound)} for _ in range(count)]
            shares = []
            for rank in range(world):
                it = trainer.Trainer.__new__(trainer.Trainer)
                it.rank, it.world, it.options = rank, world, type("Options", (), {"micro_tokens": bound})
                shares.append(it.share(data))
            self.assertEqual(len({len(share) for share in shares}), 1, "every process runs as many passes")
            parts = [part for share in shares for part in share]
            self.assertEqual(sorted(i for part in parts for i in part), list(range(count)))
            for part in filter(None, parts):
                self.assertLessEqual(len(part) * max(len(data[i]["targets"]) for i in part), bound)


def broken_worker():
    """The worker, but its second process fails where the first waits for it in a collective."""
    import torch.distributed as dist
    import trainer
    import worker
    share = trainer.Trainer.share

    def failing(self, data):
        if dist.get_rank() == 1:
            raise RuntimeError("out of memory, says the test")
        return share(self, data)

    trainer.Trainer.share = failing
    worker.main()


if __name__ == "__main__":
    broken_worker() if "LOCAL_RANK" in os.environ else unittest.main()
