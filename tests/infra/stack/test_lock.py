"""The directory of a lock goes away under those who wait for the lock."""

from pathlib import Path

from infra.stack.lock import hold_lock, is_locked, remove_locked


def test_the_lock_holds_until_nothing_else_is_left(tmp_path, monkeypatch):
    lock = tmp_path / "stack" / "lock"
    locked_with = []
    unlink = Path.unlink

    def watched(path, *args, **kwargs):
        locked_with.append((path.name, is_locked(lock)))
        unlink(path, *args, **kwargs)

    with hold_lock(lock, "stack ada"):
        (lock.parent / "state.json").touch()
        (lock.parent / "zz.json").touch()
        (lock.parent / "pulumi").mkdir()
        (lock.parent / "pulumi" / "stack.json").touch()
        monkeypatch.setattr(Path, "unlink", watched)
        remove_locked(lock)
    assert sorted(locked_with[:-1]) == [("state.json", True), ("zz.json", True)]
    assert locked_with[-1] == ("lock", True)
    assert not lock.parent.exists()


def test_what_comes_after_the_lock_has_gone_stays(tmp_path, monkeypatch):
    lock = tmp_path / "stack" / "lock"
    unlink = Path.unlink

    def followed_by_an_up(path, *args, **kwargs):
        unlink(path, *args, **kwargs)
        if path == lock:
            lock.write_text("another process")

    with hold_lock(lock, "stack ada"):
        (lock.parent / "state.json").touch()
        monkeypatch.setattr(Path, "unlink", followed_by_an_up)
        remove_locked(lock)
    assert [path.name for path in lock.parent.iterdir()] == ["lock"]
    assert lock.read_text() == "another process"
