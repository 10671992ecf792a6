"""The end of a log, as terminal and report show it."""

from scenarios.local.logs import MOST_CHARACTERS, MOST_LINES, last_lines, logs_of


def test_the_last_lines_of_a_log_are_plain_text_and_few(tmp_path):
    log = tmp_path / "c.log"
    log.write_bytes(b"\xff first\n" + b"x" * 1_000_000 + b"\n" + b"\n".join(b"%d" % n for n in range(100)))
    lines = last_lines(log)
    assert lines == tuple(str(n) for n in range(100 - MOST_LINES, 100))
    log.write_bytes(b"\x1b[31mError\x1b[0m: \x07\tno\r\n\n" + b"y" * 1000)
    assert last_lines(log) == ("Error:     no", "y" * MOST_CHARACTERS)


def test_a_process_that_said_nothing_is_left_out(tmp_path):
    (tmp_path / "silent.log").touch()
    (tmp_path / "loud.log").write_text("here\n")
    assert logs_of(tmp_path, ["silent", "loud", "never-started"]) == {"loud": ("here",)}
