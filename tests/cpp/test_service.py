"""The recommendation service (cpp/examples/service), asked over HTTP and compared with Python."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from native_build import SERVICE_NOT_BUILT, find_service

import matfac as mf

pytestmark = [
    pytest.mark.skipif(find_service() is None, reason=SERVICE_NOT_BUILT),
    pytest.mark.xdist_group("service"),
]

TIMEOUT = 60
JSON = {"Content-Type": "application/json"}


@dataclass
class Answer:
    status: int
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)


#: Connections that are closed when a test ends.
OPENED: list[http.client.HTTPConnection] = []


class Client:
    """One connection that is kept alive."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
        OPENED.append(self.connection)

    def ask(
        self, method: str, path: str, body: object = None, headers: dict[str, str] = JSON
    ) -> Answer:
        text = body if isinstance(body, str | bytes) or body is None else json.dumps(body)
        self.connection.request(method, path, text, headers if body is not None else {})
        response = self.connection.getresponse()
        return Answer(response.status, response.read().decode())

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def post(self, path: str, body: object) -> Answer:
        return self.ask("POST", path, body)


class Service:
    """The program, started on a free port of the loopback."""

    def __init__(self, model: Path, *options: str, **environment: str) -> None:
        program = find_service()
        assert program is not None
        self.process = subprocess.Popen(
            [program, model, "--port", "0", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        match = re.fullmatch(r"listening on http://127\.0\.0\.1:(\d+)\n", line)
        assert match, line + self.process.communicate(timeout=TIMEOUT)[1]
        self.port = int(match[1])

    def client(self) -> Client:
        return Client(self.port)

    def stop(self, by: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Return the exit status and what was written to stderr."""
        if self.process.poll() is None:
            self.process.send_signal(by)
        while OPENED:  # the service waits for the next request of an open one
            OPENED.pop().close()
        _, errors = self.process.communicate(timeout=TIMEOUT)
        return self.process.returncode, errors


@contextlib.contextmanager
def running(model: Path, *options: str, **environment: str) -> Iterator[Service]:
    service = Service(model, *options, **environment)
    try:
        yield service
    finally:
        service.stop()


@pytest.fixture(autouse=True)
def close_connections() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


def fitted(seed: int, **settings: Any) -> mf.MatrixFactorization:
    R = mf.datasets.make_ratings(60, 150, 2000, random_state=5)
    settings = {"n_factors": 7, "max_iter": 3, **settings}
    return mf.MatrixFactorization(**settings, random_state=seed).fit(R)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models: a and b differ in the seed only; texts has ids of text; clicks is implicit."""
    path = tmp_path_factory.mktemp("models")
    fitted(0).save(path / "a.safetensors")
    fitted(1).save(path / "b.safetensors")
    R = mf.Ratings.from_arrays(
        ["ann", "ann", "bob", "çem", "çem"], ["x", "y", "x", "z", "é/ü"], [5.0, 3, 4, 1, 2]
    )
    texts = mf.MatrixFactorization(n_factors=2, dtype="float64", max_iter=3).fit(R)
    texts.save(path / "texts.safetensors", include_seen=False)
    clicks = mf.Ratings.from_arrays(R.user_ids[[0, 0, 1, 2]], R.item_ids[[0, 1, 2, 3]])
    mf.ImplicitFactorization(n_factors=2, max_iter=3).fit(clicks).save(path / "clicks.safetensors")
    (path / "broken.safetensors").write_bytes((path / "a.safetensors").read_bytes()[:-9])
    return path


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Service]:
    with running(
        folder / "a.safetensors", "--max-body", "20000", "--max-n", "50", "--max-listed", "200"
    ) as started:
        yield started


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return mf.load(folder / "a.safetensors")


def ranking(result: Any) -> tuple[list[Any], list[float]]:
    return result["items"], result["scores"]


def expected(found: mf.Ranking) -> tuple[list[Any], list[float]]:
    return found.ids.tolist(), found.scores.tolist()


def visitor(items: list[Any], values: list[float]) -> mf.Ratings:
    return mf.Ratings.from_arrays([0] * len(items), items, values)


def test_health_and_model(service: Service, folder: Path, model: Any) -> None:
    client = service.client()
    assert client.get("/health").body == {"status": "ok"}
    about = client.get("/model").body
    assert about["n_users"] == len(model.user_ids_) and about["n_items"] == len(model.item_ids_)
    assert about["n_factors"] == 7 and about["loss"] == "squared" and about["dtype"] == "float32"
    assert about["knows_seen"] is True and about["written_by"] == mf.__version__
    assert about["model"].startswith("xxh64:")


def test_predictions_are_those_of_python(service: Service, model: Any) -> None:
    users, items = [3, 17, 999_999, 3], [5, 999_999, 7, 888_888]
    answer = service.client().post("/predict", {"users": users, "items": items})
    assert answer.status == 200
    assert answer.body["scores"] == model.predict(users, items).tolist()
    assert answer.body["known"] == [True, False, False, False]


def test_recommendations_are_those_of_python(service: Service, model: Any) -> None:
    client = service.client()
    for user in (3, 17):
        (result,) = client.get(f"/recommend?user={user}&n=7").body["results"]
        assert result["user"] == user and result["known"] is True
        assert ranking(result) == expected(model.recommend(user, 7))
    everybody = client.post(
        "/recommend", {"users": model.user_ids_.tolist(), "n": 5, "exclude_seen": False}
    ).body["results"]
    found = model.recommend(n=5, exclude_seen=False)
    assert [ranking(r) for r in everybody] == [
        (ids.tolist(), scores.tolist()) for ids, scores in zip(*found, strict=True)
    ]


def test_filters(service: Service, model: Any) -> None:
    client = service.client()
    best = model.recommend([3, 17], 50, exclude_seen=False)
    lists = [ids[:2].tolist() for ids in best.ids]
    for exclude in (lists, lists[0]):
        body = {"users": [3, 17], "n": 3, "exclude": exclude, "exclude_seen": False}
        for row, result in enumerate(client.post("/recommend", body).body["results"]):
            gone = exclude[row] if exclude is lists else exclude
            kept = [i for i in best.ids[row].tolist() if i not in gone]
            assert result["items"] == kept[:3]
    among = sorted(best.ids[0][[4, 9, 11]].tolist())
    body = {"users": [3], "among": [*among, 999_999], "n": 10, "exclude_seen": False}
    (result,) = client.post("/recommend", body).body["results"]
    assert result["items"] == best.ids[0][[4, 9, 11]].tolist()
    assert result["scores"] == best.scores[0][[4, 9, 11]].tolist()
    (result,) = client.post("/recommend", {**body, "among": []}).body["results"]
    assert result["items"] == []


def test_an_unknown_user_gets_what_suits_everybody(service: Service, model: Any) -> None:
    (result,) = service.client().get("/recommend?user=-5").body["results"]
    assert result["known"] is False
    with pytest.warns(UserWarning, match="not in the model"):
        assert ranking(result) == expected(model.recommend(-5, 10))


def test_similar_items_are_those_of_python(service: Service, model: Any) -> None:
    client = service.client()
    (result,) = client.get("/similar?item=7&n=4").body["results"]
    assert result["item"] == 7 and ranking(result) == expected(model.similar_items(7, 4))
    answer = client.post("/similar", {"items": [7, 999_999]})
    assert answer.status == 404 and "position 1" in answer.body["error"]["message"]


def test_folded_in_visitors_are_those_of_python(service: Service, model: Any) -> None:
    one, other = ([9, 4, 30], [5.0, 1.5, 4.0]), ([2, 999_999], [3.0, 3.0])
    visitors = [{"items": items, "ratings": values} for items, values in (one, other)]
    results = service.client().post("/fold-in", {"visitors": visitors, "n": 6}).body["results"]
    assert [r["unknown_items"] for r in results] == [0, 1]
    for result, (items, values) in zip(results, (one, ([2], [3.0])), strict=True):
        found = model.recommend_new(visitor(items, values), 6)
        assert ranking(result) == (found.ids[0].tolist(), found.scores[0].tolist())
    body = {"visitors": visitors[:1], "n": 6, "exclude_rated": False, "exclude": [one[0][0]]}
    (result,) = service.client().post("/fold-in", body).body["results"]
    found = model.recommend_new(visitor(*one), 10, exclude_seen=False)
    assert result["items"] == [i for i in found.ids[0].tolist() if i != one[0][0]][:6]


def test_ids_of_text_and_models_of_choices(folder: Path) -> None:
    with running(folder / "texts.safetensors") as service:
        client, texts = service.client(), mf.load(folder / "texts.safetensors")
        answer = client.get("/recommend?user=%C3%A7em&exclude_seen=false&n=3").body["results"][0]
        assert ranking(answer) == expected(texts.recommend("çem", 3, exclude_seen=False))
        assert client.get("/similar?item=%C3%A9%2F%C3%BC").status == 200
        refused = client.get("/recommend?user=ann")
        assert refused.status == 400 and "exclude_seen" in refused.body["error"]["message"]
        assert client.post("/predict", {"users": [1], "items": ["x"]}).status == 400

        reloaded = client.post("/reload", {"file": "clicks.safetensors"})
        assert reloaded.status == 200 and reloaded.body["loss"] == "implicit_squared"
        clicks = mf.load(folder / "clicks.safetensors")
        answer = client.post("/fold-in", {"visitors": [{"items": ["x"]}], "n": 2}).body["results"]
        found = clicks.recommend_new(mf.Ratings.from_arrays(["new"], ["x"]), 2)
        assert ranking(answer[0]) == (found.ids[0].tolist(), found.scores[0].tolist())


def nested(depth: int) -> str:
    return '{"users": ' + "[" * depth + "]" * depth + "}"


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/recommend", "{", 400, "no JSON"),
        ("/recommend", "[]", 400, "JSON object"),
        ("/recommend", b'{"users": ["\xff"]}', 400, "no JSON"),
        ("/recommend", nested(5000), 400, "nested"),
        ("/recommend", '{"users": [3], "n": 2, "users": [4]}', 400, "'users' stands twice"),
        ("/recommend", {}, 400, "'users' is missing"),
        ("/recommend", {"users": []}, 400, "0 entries"),
        ("/recommend", {"users": list(range(1001))}, 400, "1001 entries"),
        ("/recommend", {"users": ["3"]}, 400, "position 0: the model's ids are whole numbers"),
        ("/recommend", {"users": [3, 1.5]}, 400, "position 1"),
        ("/recommend", {"users": [3], "n": 0}, 400, "from 1 to 50"),
        ("/recommend", {"users": [3], "n": 51}, 400, "from 1 to 50"),
        ("/recommend", {"users": [3], "n": "10"}, 400, "whole number"),
        ("/recommend", {"users": [3], "top": 10}, 400, "'top' is not known here"),
        ("/recommend", {"users": [3], "exclude_seen": 1}, 400, "true or false"),
        ("/recommend", {"users": [3], "exclude": [[1], [2]]}, 400, "expected one for each"),
        ("/recommend", {"users": [3, 4], "exclude": [[1], 2]}, 400, "position 1"),
        ("/recommend", {"users": [3], "among": 5}, 400, "'among' must be a list"),
        ("/predict", {"users": [3, 4], "items": [5]}, 400, "a pair takes one of each"),
        ("/fold-in", {"visitors": [5]}, 400, "position 0"),
        ("/fold-in", {"visitors": [{"items": [1, 1], "ratings": [1, 2]}]}, 400, "twice"),
        ("/fold-in", {"visitors": [{"items": [1, 2], "ratings": [1]}]}, 400, "expected 2"),
        ("/fold-in", {"visitors": [{"items": [1], "ratings": ["5"]}]}, 400, "not a number"),
        ("/fold-in", {"visitors": [{"items": [1]}]}, 400, "'ratings' is missing"),
        ("/recommend", {"users": [1, 2], "exclude": [[1] * 150, [2] * 150]}, 400, "at most 200"),
        ("/fold-in", {"visitors": [{"items": [1], "ratings": [1e300]}]}, 400, "finite"),
        ("/similar", {"items": [10**30]}, 400, "whole numbers"),
        ("/similar", {"items": [10**19]}, 404, "position 0"),
        ("/nowhere", {}, 404, "/nowhere"),
        ("/recommend", {"users": [3], "among": [10**9] * 2000}, 413, "larger"),
        ("/reload", {"file": "../a.safetensors"}, 400, "no path"),
        ("/reload", {"file": "/etc/passwd"}, 400, "no path"),
        ("/reload", {"file": ".hidden"}, 400, "no path"),
        ("/reload", {"file": "a\0b"}, 400, "no path"),
        ("/reload", {"file": 5}, 400, "must be a string"),
        ("/reload", {"file": "missing.safetensors"}, 409, "model in use stays"),
        ("/reload", {"file": "broken.safetensors"}, 409, "model in use stays"),
    ],
)
def test_bad_input_is_refused(
    service: Service, path: str, body: Any, status: int, words: str
) -> None:
    answer = service.client().post(path, body)
    assert answer.status == status, answer.text
    assert answer.body["error"]["status"] == status
    assert words in answer.body["error"]["message"]
    assert service.client().get("/health").status == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/recommend", 400),
        ("/recommend?user=", 400),
        ("/recommend?user=ann", 400),
        ("/recommend?user=3&n=x", 400),
        ("/recommend?user=3&color=5", 400),
        ("/similar?item=999999", 404),
        ("/predict", 404),
        ("/../../etc/passwd", 404),
    ],
)
def test_bad_parameters_are_refused(service: Service, path: str, status: int) -> None:
    answer = service.client().get(path)
    assert answer.status == status and answer.body["error"]["message"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/recommend", "parameter 'user' is missing"),
        ("/similar?n=3", "parameter 'item' is missing"),
        ("/recommend?user=x", "parameter 'user': the model's ids are whole numbers, not 'x'"),
        ("/recommend?user=1.5", "parameter 'user': the model's ids are whole numbers, not '1.5'"),
        ("/recommend?users=3", "parameter 'users': send one 'user', or a list with POST"),
        ("/recommend?user=3&user=4", "parameter 'user': send one, or a list with POST"),
        ("/recommend?user=3&foo=4", "'foo' is not known here; known are 'user', 'n', "),
        ("/recommend?user=3&n=abc", "parameter 'n' is no JSON (10, true, [1,2], [\"a\"]): 'abc'"),
    ],
)
def test_parameters_are_refused_by_their_own_names(
    service: Service, path: str, message: str
) -> None:
    assert service.client().get(path).body["error"]["message"].startswith(message)


def test_a_body_must_be_json(service: Service) -> None:
    client = service.client()
    assert client.ask("POST", "/reload", "{}", {"Content-Type": "text/plain"}).status == 415

    types = {"application/jsonpatch": 415, "Application/JSON ; charset=utf-8": 400}
    for media_type, status in types.items():
        assert client.ask("POST", "/predict", "{}", {"Content-Type": media_type}).status == status


@pytest.mark.parametrize("path", ["/predict", "/nowhere"])
def test_a_long_body_is_refused_however_it_comes(service: Service, path: str) -> None:
    client = service.client()
    long = json.dumps({"users": [1] * 100_000})
    chunks = [long[i : i + 5000].encode() for i in range(0, len(long), 5000)]
    packed = gzip.compress(long.encode())
    assert len(packed) < 20_000
    client.connection.request("POST", path, iter(chunks), JSON)
    assert client.connection.getresponse().read().count(b"413") == 1
    answer = client.ask("POST", path, packed, {**JSON, "Content-Encoding": "gzip"})
    assert answer.status == 413
    assert client.ask("POST", path, long).status == 413
    # What was refused does not stand before the connection's next request.
    assert client.get("/health").status == 200


def test_a_body_needs_its_length(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=TIMEOUT) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 411 ")


@pytest.mark.parametrize("method", ["DELETE", "POST", "PUT", "PATCH", "GET"])
def test_a_path_that_is_not_there(service: Service, method: str) -> None:
    client = service.client()
    client.connection.putrequest(method, "/nowhere")  # adds no Content-Length
    client.connection.endheaders()
    response = client.connection.getresponse()
    assert response.status == 404 and f"there is no {method} /nowhere" in response.read().decode()


@pytest.mark.parametrize("ranges", ["bytes=0-10", "bytes=" + ",".join(["0-"] * 500)])
def test_an_answer_comes_whole(service: Service, ranges: str) -> None:
    client = service.client()
    answer = client.ask("GET", "/model", "", {"Range": ranges})
    assert answer.status == 200 and answer.text == client.get("/model").text


def test_parameters_that_are_no_text(folder: Path) -> None:
    with running(folder / "texts.safetensors") as service:
        for path in ("/recommend?user=%ff", "/similar?item=%ff", "/similar?item=x&item=y"):
            assert service.client().get(path).status == 400, path


def test_metrics(folder: Path) -> None:
    with running(folder / "a.safetensors") as service:
        client = service.client()
        for _ in range(3):
            client.get("/recommend?user=3")
        client.get("/recommend?user=x")
        client.get("/nowhere")
        client.post("/reload", {})
        client.post("/reload", {"file": "broken.safetensors"})
        lines = client.get("/metrics").text.splitlines()
    numbers = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert numbers['matfac_requests_total{route="/recommend",status="200"}'] == "3"
    assert numbers['matfac_requests_total{route="/recommend",status="400"}'] == "1"
    assert numbers['matfac_requests_total{route="other",status="404"}'] == "1"
    assert numbers['matfac_reloads_total{result="success"}'] == "1"
    assert numbers['matfac_reloads_total{result="failure"}'] == "1"
    assert numbers['matfac_request_seconds_bucket{route="/recommend",le="+Inf"}'] == "4"
    assert numbers['matfac_request_seconds_count{route="/recommend"}'] == "4"
    buckets = [
        int(count)
        for name, count in numbers.items()
        if name.startswith('matfac_request_seconds_bucket{route="/recommend"')
    ]
    assert buckets == sorted(buckets)
    assert any(re.fullmatch(r'matfac_model_info\{checksum="xxh64:\w{16}",.*\}', n) for n in numbers)
    assert {line.split()[2] for line in lines if line.startswith("# TYPE")} == {
        re.sub(r"(_bucket|_sum|_count)?(\{.*)?$", "", name) for name in numbers
    }


def test_a_reload_needs_its_token(folder: Path) -> None:
    with running(folder / "a.safetensors", MATFAC_RELOAD_TOKEN="secret") as service:
        client = service.client()
        assert client.post("/reload", {}).status == 401
        for token, status in (("secre", 401), ("secrets", 401), ("secret", 200)):
            headers = {**JSON, "Authorization": f"Bearer {token}"}
            assert client.ask("POST", "/reload", {}, headers).status == status


def test_sighup_reloads_the_file(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes((folder / "a.safetensors").read_bytes())
    with running(path) as service:
        client = service.client()
        before = client.get("/model").body["model"]
        path.unlink()
        path.write_bytes((folder / "b.safetensors").read_bytes())
        service.process.send_signal(signal.SIGHUP)
        assert service.process.stderr is not None
        line = service.process.stderr.readline()
        after = client.get("/model").body["model"]
        assert line == f"reloaded: {after}\n" and after != before
        path.unlink()
        service.process.send_signal(signal.SIGHUP)
        assert "the model in use stays" in service.process.stderr.readline()
        assert client.get("/model").body["model"] == after


def questions(models: dict[str, Any]) -> list[tuple[str, str, Any, dict[str, Any]]]:
    """Requests, each with its answer by model."""
    seen_users = [3, 17, 40]
    asked: list[tuple[str, str, Any, dict[str, Any]]] = []
    for user in seen_users:
        answers = {key: expected(m.recommend(user, 5)) for key, m in models.items()}
        asked.append(("GET", f"/recommend?user={user}&n=5", None, answers))
    items, values = [9, 4, 30], [5.0, 1.5, 4.0]
    new = visitor(items, values)
    body = {"visitors": [{"items": items, "ratings": values}], "n": 5}
    answers = {}
    for key, m in models.items():
        found = m.recommend_new(new, 5)
        answers[key] = (found.ids[0].tolist(), found.scores[0].tolist())
    asked.append(("POST", "/fold-in", body, answers))
    answers = {key: expected(m.similar_items(7, 5)) for key, m in models.items()}
    asked.append(("POST", "/similar", {"items": [7], "n": 5}, answers))
    return asked


def test_no_answer_is_wrong_or_lost_while_the_model_is_reloaded(folder: Path) -> None:
    files = {name: folder / f"{name}.safetensors" for name in "ab"}
    models = {name: mf.load(path) for name, path in files.items()}
    asked = questions(models)
    faults: list[str] = []
    counts: list[int] = []
    done = threading.Event()

    with running(files["a"]) as service:
        checksums = {}
        client = service.client()
        for name in "ba":
            answer = client.post("/reload", {"file": files[name].name})
            checksums[answer.body["model"]] = name
        assert len(checksums) == 2

        def work() -> None:
            own, count = service.client(), 0
            try:
                while not done.is_set() or count < len(asked):
                    method, path, body, answers = asked[count % len(asked)]
                    answer = own.ask(method, path, body)
                    result = answer.body
                    right = answers[checksums[result["model"]]]
                    if answer.status != 200 or ranking(result["results"][0]) != right:
                        faults.append(f"{path}: {answer.text}")
                    count += 1
            except Exception as error:  # whatever it is, it is a fault
                faults.append(repr(error))
            counts.append(count)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for i in range(10):
            name = "ba"[i % 2]
            answer = client.post("/reload", {"file": files[name].name})
            assert answer.status == 200 and checksums[answer.body["model"]] == name
        done.set()
        for thread in threads:
            thread.join(TIMEOUT)
        assert faults == [] and len(counts) == 4 and sum(counts) >= 4 * len(asked)
        status, errors = service.stop()
        assert status == 0 and errors == ""


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_what_was_begun_is_answered_before_the_end(folder: Path, by: signal.Signals) -> None:
    service = Service(folder / "a.safetensors")
    users = mf.load(folder / "a.safetensors").user_ids_.tolist()
    client = service.client()
    body = {"users": users * 16, "n": 50, "exclude_seen": False}
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(client.post("/recommend", body)))
    assert client.get("/health").status == 200  # a worker holds the connection
    # The head of a request is sent before the signal, its body after it.
    other = service.client()
    other.connection.connect()
    assert other.get("/health").status == 200
    text = json.dumps(body).encode()
    other.connection.putrequest("POST", "/recommend")
    other.connection.putheader("Content-Type", "application/json")
    other.connection.putheader("Content-Length", str(len(text)))
    other.connection.endheaders(text[:100])
    thread.start()
    thread.join(TIMEOUT)
    service.process.send_signal(by)
    with pytest.raises(subprocess.TimeoutExpired):
        service.process.wait(0.2)
    other.connection.send(text[100:])
    response = other.connection.getresponse()
    assert response.status == 200
    assert json.loads(response.read())["results"] == answers[0].body["results"]
    status, errors = service.stop(by)
    assert status == 0 and errors == ""


def test_an_early_signal_is_not_lost(folder: Path) -> None:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})  # the signal comes before the service listens
    try:
        for _ in range(15):
            assert Service(folder / "a.safetensors").stop() == (0, "")
    finally:
        os.sched_setaffinity(0, allowed)


def test_a_port_is_not_shared(folder: Path) -> None:
    with running(folder / "a.safetensors") as service:
        program = find_service()
        assert program is not None
        command = [program, folder / "b.safetensors", "--port", str(service.port)]
        second = subprocess.run(command, text=True, capture_output=True, timeout=TIMEOUT)
        assert second.returncode != 0 and "cannot listen" in second.stderr


def test_a_bad_start_is_explained(folder: Path, tmp_path: Path) -> None:
    program = find_service()
    assert program is not None
    for arguments, words in (
        ([], "no model file"),
        ([tmp_path / "missing"], "missing"),
        ([folder / "broken.safetensors"], "broken.safetensors"),
        ([folder / "a.safetensors", "--port", "70000"], "from 0 to 65535"),
        ([folder / "a.safetensors", "--what", "5"], "unknown option"),
    ):
        result = subprocess.run(
            [program, *arguments], capture_output=True, text=True, timeout=TIMEOUT
        )
        assert result.returncode == 2 and words in result.stderr and result.stdout == ""
