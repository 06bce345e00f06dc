import hashlib
import time
from pathlib import Path

import pytest
from tests.cli.conftest import corarec
from tests.serve.conftest import Serve

from corarec.errors import ConfigError, StorageError
from corarec.serve.keys import add_key, read_keys


def test_a_key_is_kept_as_a_hash_that_its_owner_alone_may_read(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    read, write = add_key(file, "page", "read"), add_key(file, "shop", "write")
    keys = read_keys(file)
    assert (keys.kind(read), keys.kind(write)) == ("read", "write")
    assert keys.kind("") is None
    assert keys.kind(read + "x") is None
    text = file.read_text()
    assert read not in text
    assert write not in text
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(read) > 40


def test_without_a_file_no_key_is_wanted() -> None:
    assert read_keys(None).wanted is False


def test_what_is_no_file_of_keys_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    with pytest.raises(StorageError, match="does not exist"):
        read_keys(file)
    file.write_text("# none yet\n\n")
    with pytest.raises(ConfigError, match="holds no key"):
        read_keys(file)
    good = f"a read {'0' * 64}"
    for line in ("a read", f"a admin {'0' * 64}", "a read xyz", f"a b read {'0' * 64}", good):
        file.write_text(f"{good}\n{line}\n")
        with pytest.raises(ConfigError, match="line 2"):
            read_keys(file)
    for name in ("", "a b", "ä", "x" * 65, "a\n"):
        with pytest.raises(ConfigError, match="name of the key"):
            add_key(tmp_path / "new.txt", name, "read")
    assert not (tmp_path / "new.txt").exists()


def test_a_name_is_given_once_and_the_file_stays_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    first = add_key(file, "shop", "read")
    before = file.read_text()
    with pytest.raises(ConfigError, match="has a key named 'shop'"):
        add_key(file, "shop", "write")
    assert file.read_text() == before
    assert read_keys(file).kind(first) == "read"


def test_the_command_prints_a_key_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "keys.txt"
    assert corarec("api-key", "--keys", file, "--name", "shop", "--kind", "write") == 0
    printed = capsys.readouterr().out.strip()
    assert read_keys(file).kind(printed) == "write"
    assert corarec("api-key", "--keys", file, "--name", "shop") == 1


def test_with_keys_nobody_asks_without_one_and_a_reader_changes_nothing(
    serve: Serve, tmp_path: Path
) -> None:
    file = tmp_path / "keys.txt"
    read, write = add_key(file, "page", "read"), add_key(file, "shop", "write")
    client = serve(keys=file)
    event = {"user": "u", "item": "3", "kind": "like", "time": 5}
    pairs = {"pairs": [{"user": "1", "item": "3"}]}
    changes = [
        ("POST", "/v1/feedback", event),
        ("PUT", "/v1/feedback", event),
        ("POST", "/v1/items", {"item": "a", "title": "A"}),
        ("DELETE", "/v1/items/a", None),
        ("DELETE", "/v1/users/u", None),
    ]
    asks = [
        ("POST", "/v1/score", pairs),
        ("POST", "/v1/rank", {"user": "1", "items": ["3"]}),
        ("POST", "/v1/recommend", {"user": "1"}),
        ("GET", "/v1/recommend?user=1", None),
        ("GET", "/v1/items?q=the", None),
        ("GET", "/v1/users/1", None),
        ("GET", "/v1/users", None),
        ("GET", "/info", None),
        ("GET", "/metrics", None),
    ]
    for method, path, body in changes + asks:
        for headers in ({}, {"x-api-key": "wrong"}, {"authorization": f"Basic {write}"}):
            answer = client.request(method, path, json=body, headers=headers)
            assert answer.status_code == 401, (path, answer.text)
            assert answer.headers["www-authenticate"] == "Bearer"
    for method, path, body in changes:
        headers = {"authorization": f"Bearer {read}"}
        assert client.request(method, path, json=body, headers=headers).status_code == 403, path
        headers = {"authorization": f"bearer {write}"}
        assert client.request(method, path, json=body, headers=headers).status_code == 200, path
    for method, path, body in asks:
        for key in (read, write):
            answer = client.request(method, path, json=body, headers={"x-api-key": key})
            assert answer.status_code == 200, (path, answer.text)
    for path in ("/health/live", "/health/ready", "/openapi.json"):
        assert client.get(path).status_code == 200
    odd = client.get("/info", headers={b"x-api-key": b"\xff\xfe"})
    assert odd.status_code == 401


def test_many_keys_are_read_and_tried_at_once(tmp_path: Path) -> None:
    digests = [hashlib.sha256(f"key {n}".encode()).hexdigest() for n in range(20_000)]
    path = tmp_path / "keys.txt"
    path.write_text("".join(f"k{n} read {digest}\n" for n, digest in enumerate(digests)))
    before = time.process_time()
    keys = read_keys(path)
    assert [keys.kind(f"key {n}") for n in range(500)] == ["read"] * 500
    assert keys.kind("key") is None
    assert time.process_time() - before < 2
