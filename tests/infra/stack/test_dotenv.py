"""``.env`` where it is no ordinary file: one sentence before anything is made."""

import os

import pytest

from infra.errors import ConfigError
from infra.stack.dotenv import read_dotenv, write_dotenv


def a_pipe(path):
    os.mkfifo(path)


def a_directory(path):
    path.mkdir()


def a_link_to_nowhere(path):
    path.symlink_to("nowhere/env")


def a_circle(path):
    path.symlink_to(path)


def not_text(path):
    path.write_bytes(b"A=\xff\n")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (a_pipe, "is no file; move it away"),
        (a_directory, "cannot be read as text .*; mend it or move it away"),
        (a_link_to_nowhere, "is a link to nowhere/env, whose directory is not there; mend or remove it"),
        (a_circle, "cannot be read as text .*; mend it or move it away"),
        (not_text, "cannot be read as text .*; mend it or move it away"),
    ],
)
def test_what_cannot_hold_variables_is_said_at_the_first_look(tmp_path, make, said):
    path = tmp_path / ".env"
    make(path)
    with pytest.raises(ConfigError, match=rf"\.env {said}\.$"):
        read_dotenv(path)


def test_a_link_to_a_file_that_is_still_to_come_is_followed(tmp_path):
    (tmp_path / "own").mkdir()
    path = tmp_path / ".env"
    path.symlink_to("own/env")
    assert read_dotenv(path) == {}
    write_dotenv(path, {"A": "1"})
    assert path.is_symlink()
    assert (tmp_path / "own" / "env").read_text() == "A=1\n"
