"""A temporary folder is shared, and our names in it are known: nothing is followed, nothing of others is taken."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from respray.triton.embedded.processes import listens
from respray.triton.errors import HostError
from respray.triton.private_files import open_lock_file, private_folder


@pytest.fixture(autouse=True)
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_a_link_that_lies_under_the_locks_name_is_not_followed(shared: Path) -> None:
    theirs = shared / "theirs"
    theirs.write_text("precious")
    (shared / f"respray-warm-up-{os.getuid()}").symlink_to(theirs)
    with pytest.raises(HostError, match="remove it"):
        open_lock_file("warm-up")
    assert theirs.read_text() == "precious"


def test_a_lock_is_opened_again_by_its_user(shared: Path) -> None:
    for _ in range(2):
        os.close(open_lock_file("texts"))
    assert (shared / f"respray-texts-{os.getuid()}").stat().st_mode & 0o777 == 0o600


def test_a_folder_that_others_may_write_to_is_refused(shared: Path) -> None:
    assert private_folder() == private_folder() == shared / f"respray-{os.getuid()}"
    private_folder().chmod(0o777)
    with pytest.raises(HostError, match="this user alone"):
        private_folder()
    private_folder_path = shared / f"respray-{os.getuid()}"
    private_folder_path.rmdir()
    private_folder_path.symlink_to(shared)
    with pytest.raises(HostError, match="this user alone"):
        private_folder()


def test_a_port_is_ours_only_where_our_process_listens() -> None:
    with socket.socket() as ours:
        ours.bind(("127.0.0.1", 0))
        port = ours.getsockname()[1]
        assert not listens(os.getpid(), port)
        ours.listen()
        assert listens(os.getpid(), port)
        # It has no socket of ours from the moment that Popen returns: its program runs then.
        with subprocess.Popen(["sleep", "20"]) as child:
            assert not listens(child.pid, port)
            child.kill()
