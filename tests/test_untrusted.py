"""What others wrote: which names, texts and files are taken."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from kaggle_ray.errors import StoreError
from kaggle_ray.untrusted import is_file_key, is_path_part, open_regular, printable, read_regular

LEADING_OUT = [
    "",
    ".",
    "..",
    "../..",
    "a/../../b",
    "/etc/passwd",
    "a//b",
    "a/",
    "./a",
    "a\\..\\b",
    "a\0b",
    "a\nb",
    "a\x1b",
]


@pytest.mark.parametrize("text", LEADING_OUT)
def test_what_would_lead_out_of_a_folder_is_no_name(text: str) -> None:
    assert not is_path_part(text)
    assert not is_file_key(text)


@pytest.mark.parametrize("text", ["c0ffee", "my run-2", "épreuve", "run.2", "0123456789ab-seeds@3", "x" * 200])
def test_an_ordinary_name_is_one(text: str) -> None:
    assert is_path_part(text)
    assert is_file_key(f"trials/{text}/result.json")


@pytest.mark.parametrize("text", ["a/b", "x" * 201, "\u202eexe", "\ud800"])
def test_a_name_is_one_part_of_a_path_short_and_printable(text: str) -> None:
    assert not is_path_part(text)


def test_what_moves_a_terminals_cursor_is_shown_as_its_escape() -> None:
    assert printable("a\x1b[2Jb\rc\x07d\u202ee\ud800\x9b") == r"a\x1b[2Jb\rc\x07d\u202ee\ud800\x9b"
    assert printable("two\nlines, é and 漢 [/] <b>") == "two\nlines, é and 漢 [/] <b>"


def special(kind: str, folder: Path) -> Path:
    path = folder / kind
    match kind:
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "socket":
            socket.socket(socket.AF_UNIX).bind(os.path.relpath(path))
        case "device":
            path = Path("/dev/zero")
        case "link to a device":
            path.symlink_to("/dev/zero")
    return path


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["folder", "fifo", "socket", "device", "link to a device"])
def test_only_a_regular_file_is_opened_and_nothing_is_waited_for(tmp_path: Path, kind: str) -> None:
    path = special(kind, tmp_path)
    with pytest.raises((StoreError, OSError)):
        read_regular(path, max_bytes=100)
    with pytest.raises((StoreError, OSError)):
        open_regular(path, os.O_RDWR | os.O_APPEND)


def test_a_file_is_read_up_to_a_size(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100)
    assert read_regular(tmp_path / "file", max_bytes=100) == b"x" * 100
    with pytest.raises(StoreError, match="file: expected at most 99 bytes, got 100"):
        read_regular(tmp_path / "file", max_bytes=99)


def test_a_file_of_holes_takes_no_memory(tmp_path: Path) -> None:
    with (tmp_path / "holes").open("wb") as file:
        file.truncate(2**42)
    with pytest.raises(StoreError, match="expected at most"):
        read_regular(tmp_path / "holes", max_bytes=2**20)


def test_a_link_is_read_and_never_written_through(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"kept")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    assert read_regular(tmp_path / "link", max_bytes=10) == b"kept"
    with pytest.raises(StoreError, match="symbolic link"):
        open_regular(tmp_path / "link", os.O_RDWR | os.O_TRUNC)
    assert (tmp_path / "target").read_bytes() == b"kept"
