"""The execution environment: real processes that speak the Runtime API."""

import asyncio
import json
import os
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest

from infra.localaws.lambda_.actions import Failure
from infra.localaws.lambda_.faults import Fault, FaultKind
from infra.localaws.lambda_.limits import MAX_PAYLOAD_BYTES
from infra.localaws.lambda_.processes import ProcessGroup
from tests.localaws.lambda_.functions import (
    ARN,
    DEADLINE,
    Code,
    error,
    eventually,
    is_alive,
    processes_with,
    running,
    state_of,
    time_used,
    value,
    wait_until,
)

pytestmark = pytest.mark.processes

COUNTER = """
    import os
    count = 0
    def handler(event, context):
        global count
        count += 1
        return {"count": count, "pid": os.getpid()}
"""


@pytest.fixture
def code(tmp_path):
    return Code(tmp_path)


def test_a_process_that_has_ended_reads_from_no_file_that_has_its_pipes_number(tmp_path):
    async def go():
        ended = asyncio.Event()
        taken = []
        group = ProcessGroup(["sh", "-c", "echo bye"], tmp_path, os.environ, taken.append, lambda _: ended.set())
        await asyncio.wait_for(ended.wait(), DEADLINE)
        others = [os.pipe() for _ in range(20)]
        for read, written in others:
            os.set_blocking(read, False)
            os.write(written, b"another's")
        group.read_output()
        assert b"".join(taken) == b"bye\n"
        for read, written in others:
            assert os.read(read, 20) == b"another's"
            os.close(read)
            os.close(written)

    asyncio.run(go())


# Life


def test_a_cold_start_runs_the_init_and_a_warm_environment_keeps_its_module_state(code):
    code.python(COUNTER)

    async def go():
        with running(code) as call:
            answers = [value(await call()) for _ in range(3)]
            assert [a["count"] for a in answers] == [1, 2, 3]
            assert len({a["pid"] for a in answers}) == 1
            assert [e["cold"] for e in call.named("function-invoked")] == [True, False, False]
            assert "Init Duration" in call.lines[2]
            assert "Init Duration" not in call.lines[-1]

    asyncio.run(go())


def test_a_warm_environment_keeps_its_temporary_files_and_a_cold_start_has_none(code):
    code.python("""
        import os, tempfile
        def handler(event, context):
            found = sorted(os.listdir(tempfile.gettempdir()))
            open(os.path.join(tempfile.gettempdir(), str(len(found))), "w").close()
            return [tempfile.gettempdir(), found]
    """)

    async def go():
        with running(code) as call:
            call.function.faults.add([Fault(FaultKind.COLD_START, 3)])
            (first, none), (second, one), (third, others) = [value(await call()) for _ in range(3)]
            assert (none, one, others) == ([], ["0"], [])
            assert first == second != third
            assert [is_directory(each) for each in (first, third)] == [False, True]

    asyncio.run(go())


def is_directory(path):
    return Path(path).is_dir()


def test_a_second_concurrent_invocation_has_an_environment_of_its_own(code):
    code.python("""
        import os, time
        def handler(event, context):
            open(event["mine"], "w").close()
            while not os.path.exists(event["other"]):
                time.sleep(0.001)
            return os.getpid()
    """)

    async def go():
        one, two = str(code.directory / "one"), str(code.directory / "two")
        with running(code, timeout=15) as call:
            # Each waits for the other, so that they can only return side by side.
            pids = await asyncio.gather(call({"mine": one, "other": two}), call({"mine": two, "other": one}))
            assert len({value(pid) for pid in pids}) == 2

    asyncio.run(go())


def test_a_crash_strikes_the_environment_with_the_access_key_that_it_names(code):
    code.python("""
        import os, time
        def handler(event, context):
            with open(event["mine"], "w") as file:
                file.write(os.environ["AWS_ACCESS_KEY_ID"])
            while not os.path.exists(event["until"]):
                time.sleep(0.001)
            return "done"
    """)

    async def go():
        mine = [code.directory / name for name in ("one", "two")]
        until = code.directory / "until"
        with running(code, timeout=30) as call:
            calls = [asyncio.ensure_future(call({"mine": str(path), "until": str(until)})) for path in mine]
            await eventually(lambda: all(path.exists() and path.read_text() for path in mine), "both handlers")
            first, second = (path.read_text() for path in mine)
            assert first != second
            assert call.function.crash(access_key="ASIANOBODY") == 0
            assert call.function.crash(access_key=first) == 1
            assert "signal: killed" in error(await calls[0])[1]
            until.touch()
            assert value(await calls[1]) == "done"

    asyncio.run(go())


def test_an_environment_is_started_ahead_of_its_first_invocation(code):
    code.python(COUNTER)

    async def go():
        with running(code) as call:
            assert await call.function.prepare() is None
            (prepared,) = call.function.environments
            assert value(await call())["pid"] == prepared.pid

    asyncio.run(go())


def test_an_environment_that_cannot_start_ahead_says_why_and_is_gone(code):
    code.python("import not_there")

    async def go():
        with running(code) as call:
            failed = await call.function.prepare()
            assert "not_there" in failed.payload.decode()
            assert call.function.environments == []

    asyncio.run(go())


def test_the_function_sees_awss_variables_and_its_own_and_no_others(code, monkeypatch):
    monkeypatch.setenv("SOMETHING_OF_MINE", "secret")
    monkeypatch.setenv("AWS_PROFILE", "mine")
    code.python("""
        import os
        def handler(event, context):
            return {**os.environ, "arn": context.invoked_function_arn, "left": context.get_remaining_time_in_millis()}
    """)

    async def go():
        options = {"memory": 256, "timeout": 5, "variables": {"TABLE": "t"}, "endpoint_url": "http://127.0.0.1:1"}
        with running(code, **options) as call:
            seen = value(await call())
        assert seen["AWS_LAMBDA_FUNCTION_NAME"] == "worker"
        assert seen["AWS_LAMBDA_FUNCTION_VERSION"] == "$LATEST"
        assert seen["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
        assert seen["AWS_REGION"] == "us-west-1"
        assert seen["_HANDLER"] == "app.handler"
        assert seen["LAMBDA_TASK_ROOT"] == str(code.directory)
        assert seen["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
        assert seen["AWS_ACCESS_KEY_ID"]
        assert seen["TABLE"] == "t"
        assert seen["arn"] == ARN
        assert 4_000 < seen["left"] <= 5_000
        assert "SOMETHING_OF_MINE" not in seen
        assert "AWS_PROFILE" not in seen

    asyncio.run(go())


def test_with_a_fast_clock_the_remaining_time_is_divided_by_its_speed(code):
    code.python("def handler(event, context): return context.get_remaining_time_in_millis()")

    async def go():
        with running(code, timeout=100, speed=10) as call:
            assert 9_000 < value(await call()) <= 10_000

    asyncio.run(go())


def test_at_its_timeout_a_function_is_killed_without_sigterm_and_the_next_invocation_is_a_cold_start(code):
    code.python("""
        import os, signal, time
        signal.signal(signal.SIGTERM, lambda *_: open("sigterm", "w").close())
        count = 0
        def handler(event, context):
            global count
            count += 1
            open("pid", "w").write(str(os.getpid()))
            if event.get("hang"):
                time.sleep(60)
            return count
    """)

    async def go():
        with running(code, timeout=1) as call:
            assert value(await call()) == 1
            pid = int((code.directory / "pid").read_text())
            began = time.monotonic()
            kind, message = error(result := await call({"hang": True}))
            assert time.monotonic() - began >= 1
            assert result.failure is Failure.TIMEOUT
            assert kind == "Sandbox.Timedout"
            assert message.endswith("Error: Task timed out after 1.00 seconds")
            assert not is_alive(pid)
            assert not (code.directory / "sigterm").exists()
            assert value(await call()) == 1
            assert [e["cold"] for e in call.named("function-invoked")] == [True, False, True]
            (told,) = call.named("environment-timed-out")
            assert told["within"] == 0.9
            assert told["starved"] >= 0.0

    asyncio.run(go())


def test_between_invocations_an_environment_is_frozen_and_its_background_work_goes_on_in_the_next(code):
    code.python("""
        import os, threading, time
        beats = 0
        def beat():
            global beats
            while True:
                beats += 1
                time.sleep(0.001)
        threading.Thread(target=beat, daemon=True).start()
        def handler(event, context):
            wanted = event.get("beats", 0)
            while beats < wanted:
                time.sleep(0.001)
            return {"beats": beats, "pid": os.getpid()}
    """)

    async def go():
        with running(code, timeout=15) as call:
            first = value(await call())
            await eventually(lambda: state_of(first["pid"]) == "T", "the freeze")
            before = time_used(first["pid"])
            await asyncio.sleep(0.05)
            assert time_used(first["pid"]) == before
            second = value(await call({"beats": first["beats"] + 5}))
            assert second["pid"] == first["pid"]
            assert second["beats"] >= first["beats"] + 5
            assert call.named("environment-thawed")

    asyncio.run(go())


def test_an_error_of_the_handler_is_reported_and_the_environment_lives_on(code):
    code.python("""
        count = 0
        def handler(event, context):
            global count
            count += 1
            if event.get("bad"):
                raise ValueError("no such order")
            return count
    """)

    async def go():
        with running(code) as call:
            result = await call({"bad": True})
            assert result.failure is Failure.ERROR
            assert error(result) == ("ValueError", "no such order")
            assert value(await call()) == 2
            assert any("[ERROR] ValueError: no such order" in line for line in call.lines)

    asyncio.run(go())


@pytest.mark.parametrize(
    ("how", "said"), [("os._exit(3)", "exit status 3"), ("os.kill(os.getpid(), 9)", "signal: killed")]
)
def test_a_process_that_ends_in_the_handler_fails_the_invocation(code, how, said):
    code.python(f"""
        import os
        def handler(event, context):
            {how}
    """)

    async def go():
        with running(code) as call:
            result = await call()
            assert result.failure is Failure.EXIT
            kind, message = error(result)
            assert kind == "Runtime.ExitError"
            assert message.endswith(f"Error: Runtime exited with error: {said}")
            assert call.function.environments == []

    asyncio.run(go())


def test_an_environment_whose_process_died_while_it_was_idle_is_not_used_again(code):
    code.python(COUNTER)

    async def go():
        with running(code) as call:
            pid = value(await call())["pid"]
            os.kill(pid, 9)
            await eventually(lambda: not call.function.environments, "the loss")
            assert value(await call())["count"] == 1

    asyncio.run(go())


def test_new_settings_make_the_next_invocation_a_cold_start(code):
    code.python("import os\ndef handler(event, context): return os.environ.get('COLOUR')")

    async def go():
        with running(code) as call:
            assert value(await call()) is None
            call.function.reconfigure(replace(call.function.config, variables={"COLOUR": "red"}))
            assert value(await call()) == "red"
            assert len(call.function.environments) == 1

    asyncio.run(go())


# Processes that stay


def test_a_handler_that_forks_and_stays_leaves_no_process_behind(code):
    code.python("""
        import os, time
        def handler(event, context):
            pids = []
            for leaves in (False, True):
                pid = os.fork()
                if pid == 0:
                    if leaves:
                        os.setsid()
                    while True:
                        time.sleep(60)
                pids.append(pid)
            return pids
    """)

    async def go():
        with running(code, variables={"MARK": "forks-and-stays"}) as call:
            pids = value(await call())
            assert all(is_alive(pid) for pid in pids)
            await eventually(lambda: state_of(pids[0]) == "T", "the freeze")
        await eventually(lambda: not any(map(is_alive, pids)), "the children's end")
        assert processes_with("MARK=forks-and-stays") == []

    asyncio.run(go())


def test_a_child_that_holds_the_output_open_does_not_hold_up_the_end(code):
    code.python("""
        import os, time
        def handler(event, context):
            if os.fork() == 0:
                os.setsid()
                time.sleep(600)
            os._exit(1)
    """)

    async def go():
        with running(code, variables={"MARK": "holds-the-pipe"}) as call:
            assert (await call()).failure is Failure.EXIT
            await eventually(lambda: not processes_with("MARK=holds-the-pipe"), "the child's end")

    asyncio.run(go())


ENDPOINT_OF_ITS_OWN = """
    import asyncio, sys, time
    from tests.localaws.lambda_.functions import Code, running, value

    async def go():
        with running(Code(sys.argv[1])) as call:
            print(value(await call())["pid"], flush=True)
            await asyncio.sleep(600)

    asyncio.run(go())
"""


@pytest.mark.parametrize("has_setpriv", [True, False])
def test_a_frozen_environment_does_not_outlive_an_endpoint_that_is_killed(code, tmp_path, has_setpriv):
    code.python(COUNTER)
    text = textwrap.dedent(ENDPOINT_OF_ITS_OWN)
    if not has_setpriv:
        text = "import shutil; shutil.which = lambda name: None\n" + text
    command = [sys.executable, "-c", text, str(tmp_path)]
    # What is killed leaves its temporary files behind.
    variables = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=variables) as endpoint:
        pid = int(endpoint.stdout.readline())
        wait_until(lambda: state_of(pid) == "T", "the freeze")
        endpoint.kill()
    wait_until(lambda: not is_alive(pid), "the environment's end")


# Init


def test_a_handler_that_cannot_be_imported_reports_its_init_error(code):
    code.python("import no_such_module_here\ndef handler(event, context): pass")

    async def go():
        with running(code) as call:
            result = await call()
            assert result.failure is Failure.INIT
            kind, message = error(result)
            assert kind == "Runtime.ImportModuleError"
            assert "No module named 'no_such_module_here'" in message
            said = [line for line in call.lines if "no_such_module_here" in line]
            assert len(said) == 1
            assert call.function.environments == []

    asyncio.run(go())


@pytest.mark.parametrize("handler", ["app.missing", "missing.handler", "nodot"])
def test_a_handler_that_is_not_there_reports_its_init_error(code, handler):
    code.python("def handler(event, context): pass")

    async def go():
        with running(code, handler=handler) as call:
            assert (await call()).failure is Failure.INIT

    asyncio.run(go())


def test_a_bootstrap_that_never_asks_for_its_event_is_begun_anew_and_then_named(code):
    code.bootstrap("import time\nopen('starts', 'a').write('x')\ntime.sleep(600)", client="")

    async def go():
        with running(code, runtime="provided.al2023", timeout=1, init_seconds=0.3) as call:
            result = await call()
            assert result.failure is Failure.TIMEOUT
            assert error(result)[1].endswith("Task timed out after 1.00 seconds")
            assert any("did not ask for its first event (GET invocation/next) within 0.3 s" in x for x in call.lines)
            assert (code.directory / "starts").read_text() == "xx"
            assert call.function.environments == []

    asyncio.run(go())


def test_a_bootstrap_that_ends_before_its_first_event_fails_the_invocation(code):
    code.bootstrap("print('no configuration'); sys.exit(7)", client="import sys")

    async def go():
        with running(code, runtime="provided") as call:
            result = await call()
            assert result.failure is Failure.INIT
            assert "exit status 7" in error(result)[1]
            assert "no configuration" in call.lines

    asyncio.run(go())


@pytest.mark.parametrize(
    ("runtime", "sentence"),
    [
        ("provided.al2023", "has no bootstrap at its root"),
        ("java21", "runs the runtimes python3.x, nodejs and provided, not 'java21'"),
    ],
)
def test_a_runtime_that_cannot_be_run_is_said_in_one_sentence(code, runtime, sentence):
    async def go():
        with running(code, runtime=runtime) as call:
            result = await call()
            assert result.failure is Failure.INIT
            assert sentence in error(result)[1]

    asyncio.run(go())


def test_a_bootstrap_that_is_not_executable_is_said_in_one_sentence(code):
    code.write("bootstrap", "#!/bin/sh\n")

    async def go():
        with running(code, runtime="provided") as call:
            assert "is not executable: chmod +x" in error(await call())[1]

    asyncio.run(go())


# The Runtime API's answers


def test_a_bootstrap_gets_the_answers_of_the_runtime_api(code):
    code.bootstrap("""
        seen = {}
        seen["unknown before next"] = call("POST", "invocation/x/response", b"1")[0]
        seen["no such path"] = call("GET", "nothing")[0]
        id, headers, event = next_event()
        seen["headers"] = sorted(h for h in headers if h.startswith("Lambda-Runtime-"))
        seen["event"] = event
        seen["next while running"] = call("GET", "invocation/next")[0]
        seen["init error late"] = call("POST", "init/error", b"{}")[0]
        seen["unknown id"] = call("POST", "invocation/x/response", b"1")[0]
        seen["unknown id body"] = json.loads(call("POST", "invocation/x/error", b"{}")[2])["errorType"]
        status = call("POST", f"invocation/{id}/response", json.dumps(seen).encode())[0]
        twice = call("POST", f"invocation/{id}/response", b"1")[0]
        again = call("POST", f"invocation/{id}/error", b"{}")[0]
        id, headers, event = next_event()
        call("POST", f"invocation/{id}/response", json.dumps([status, twice, again]).encode())
        next_event()
    """)

    async def go():
        with running(code, runtime="provided.al2", handler="whatever") as call:
            seen = value(await call({"a": 1}))
            assert seen == {
                "unknown before next": 400,
                "no such path": 404,
                "headers": [
                    "Lambda-Runtime-Aws-Request-Id",
                    "Lambda-Runtime-Deadline-Ms",
                    "Lambda-Runtime-Invoked-Function-Arn",
                    "Lambda-Runtime-Trace-Id",
                ],
                "event": {"a": 1},
                "next while running": 403,
                "init error late": 403,
                "unknown id": 400,
                "unknown id body": "InvalidRequestID",
            }
            assert value(await call()) == [202, 403, 403]

    asyncio.run(go())


def test_an_answer_above_the_payload_limit_is_413_and_fails_the_invocation(code):
    code.bootstrap(f"""
        id, _, _ = next_event()
        status, _, body = call("POST", f"invocation/{{id}}/response", b"x" * {MAX_PAYLOAD_BYTES + 1})
        id, _, _ = next_event()
        call("POST", f"invocation/{{id}}/response", json.dumps([status, json.loads(body)["errorType"]]).encode())
        id, _, _ = next_event()
        call("POST", f"invocation/{{id}}/response", b'"' + b"x" * {MAX_PAYLOAD_BYTES - 2} + b'"')
        next_event()
    """)

    async def go():
        with running(code, runtime="provided", timeout=15) as call:
            result = await call()
            assert result.failure is Failure.TOO_LARGE
            assert error(result)[0] == "Function.ResponseSizeTooLarge"
            await eventually(lambda: not any(e.survives_later for e in call.function.environments), "the next")
            assert value(await call()) == [413, "RequestEntityTooLarge"]
            assert len((await call()).payload) == MAX_PAYLOAD_BYTES

    asyncio.run(go())


def test_a_python_handler_that_returns_too_much_costs_nothing_but_its_invocation(code):
    code.python("def handler(event, context): return 'x' * event.get('size', 1)")

    async def go():
        with running(code, timeout=15) as call:
            assert (await call({"size": MAX_PAYLOAD_BYTES})).failure is Failure.TOO_LARGE
            assert value(await call()) == "x"

    asyncio.run(go())


def test_chunked_bodies_and_their_trailers_are_read(code):
    # As aws-lambda-go writes them: a failure after the first bytes comes as trailers.
    code.bootstrap("""
        import base64
        for trailers in ("", "T"):
            id, _, _ = next_event()
            error = base64.b64encode(json.dumps({"errorType": "Late", "errorMessage": "broke off"}).encode()).decode()
            end = f"Lambda-Runtime-Function-Error-Type: Late\\r\\nLambda-Runtime-Function-Error-Body: {error}\\r\\n"
            connection.send(
                f"POST {PREFIX}invocation/{id}/response HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n"
                "Transfer-Encoding: chunked\\r\\nTrailer: Lambda-Runtime-Function-Error-Type\\r\\n\\r\\n"
                f"6\\r\\n[1, 2,\\r\\n3\\r\\n 3]\\r\\n0\\r\\n{end if trailers else ''}\\r\\n".encode())
            answer = http.client.HTTPResponse(connection.sock)
            answer.begin()
            assert answer.status == 202, answer.status
            answer.read()
        next_event()
    """)

    async def go():
        with running(code, runtime="provided") as call:
            assert value(await call()) == [1, 2, 3]
            result = await call()
            assert result.failure is Failure.ERROR
            assert error(result) == ("Late", "broke off")

    asyncio.run(go())


def test_head_and_body_of_an_event_come_in_one_write(code):
    code.bootstrap("""
        import socket
        host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
        plain = socket.create_connection((host, int(port)))
        plain.sendall(f"GET {PREFIX}invocation/next HTTP/1.1\\r\\nHost: {host}\\r\\n\\r\\n".encode())
        piece = plain.recv(65536)
        head, _, body = piece.partition(b"\\r\\n\\r\\n")
        lines = dict(line.split(b": ") for line in head.split(b"\\r\\n")[1:])
        id = lines[b"Lambda-Runtime-Aws-Request-Id"].decode()
        call("POST", f"invocation/{id}/response", body)
        next_event()
    """)

    async def go():
        with running(code, runtime="provided") as call:
            assert value(await call({"whole": True})) == {"whole": True}

    asyncio.run(go())


def test_requests_under_another_host_name_are_refused(code):
    code.bootstrap("""
        status = call("GET", "invocation/next", headers={"Host": "evil.example"})[0]
        id, _, _ = next_event()
        call("POST", f"invocation/{id}/response", str(status).encode())
        next_event()
    """)

    async def go():
        with running(code, runtime="provided") as call:
            assert value(await call()) == 403

    asyncio.run(go())


# The log


def test_the_log_holds_what_the_function_writes_between_start_and_end(code):
    code.python("""
        import logging, sys
        print("loading")
        def handler(event, context):
            print("one")
            sys.stderr.write("two, and no end of line")
            logging.getLogger().warning("three")
    """)

    async def go():
        with running(code) as call:
            await call()
            assert call.lines[0] == "loading"
            assert call.lines[1].startswith("START RequestId: ")
            text = "\n".join(call.lines[2:-2])
            assert all(word in text for word in ("one", "two, and no end of line", "three"))
            assert call.lines[-2].startswith("END RequestId: ")
            assert call.lines[-1].startswith("REPORT RequestId: ")

    asyncio.run(go())


# Node.js


def test_a_node_handler_is_run_by_a_loop_of_our_own(code):
    code.write(
        "index.mjs",
        """
        let count = 0;
        export const handler = async (event, context) => {
          count += 1;
          if (event.bad) throw new RangeError("no such order");
          console.log("at work");
          return { count, left: context.getRemainingTimeInMillis(), name: context.functionName, got: event };
        };
        """,
    )

    async def go():
        with running(code, runtime="nodejs20.x", handler="index.handler") as call:
            first = value(await call({"text": "ü"}))
            assert (first["count"], first["name"], first["got"]) == (1, "worker", {"text": "ü"})
            assert 2_000 < first["left"] <= 3_000
            assert error(await call({"bad": True})) == ("RangeError", "no such order")
            assert value(await call())["count"] == 3
            assert "at work" in call.lines

    asyncio.run(go())


def test_a_node_handler_with_a_callback_and_in_common_js_is_run_too(code):
    code.write("index.cjs", "exports.handler = (event, context, done) => setTimeout(() => done(null, 7), 1);")

    async def go():
        with running(code, runtime="nodejs20.x", handler="index.handler") as call:
            assert value(await call()) == 7

    asyncio.run(go())


def test_a_node_handler_that_is_not_there_reports_its_init_error(code):
    code.write("index.mjs", "export const other = 1;")

    async def go():
        with running(code, runtime="nodejs20.x", handler="index.handler") as call:
            result = await call()
            assert result.failure is Failure.INIT
            assert "index.handler is undefined or not exported" in error(result)[1]

    asyncio.run(go())


# Faults


WITNESS = """
    import os
    def handler(event, context):
        with open("ran", "a") as file:
            file.write("x")
        return os.getpid()
"""


def ran(code):
    path = code.directory / "ran"
    return len(path.read_text()) if path.exists() else 0


@pytest.mark.parametrize(
    ("kind", "failure", "handlers_run", "environment_lives"),
    [
        (FaultKind.CRASH_BEFORE, Failure.EXIT, 1, False),
        (FaultKind.CRASH_AFTER, Failure.EXIT, 2, False),
        (FaultKind.ANSWER_LOST, Failure.LOST, 2, True),
        (FaultKind.HANG, Failure.TIMEOUT, 1, False),
    ],
)
def test_a_scripted_fault_strikes_the_invocation_that_it_names(code, kind, failure, handlers_run, environment_lives):
    code.python(WITNESS)

    async def go():
        with running(code, timeout=1) as call:
            call.function.faults.add([Fault(kind, 2)])
            first = value(await call())
            result = await call()
            assert result.failure is failure
            assert ran(code) == handlers_run
            third = value(await call())
            assert (third == first) is environment_lives
            (struck,) = call.named("fault-struck")
            assert (struck["kind"], struck["at"]) == (kind.value, 2)
            assert len(call.function.faults) == 0

    asyncio.run(go())


def test_a_crash_during_the_handler_ends_it_where_it_is(code):
    code.python("""
        import time
        def handler(event, context):
            open("begun", "w").close()
            time.sleep(60)
            open("done", "w").close()
    """)

    async def go():
        with running(code, timeout=30) as call:
            call.function.faults.add([Fault(FaultKind.CRASH_DURING, 1, seconds=0.2)])
            assert (await call()).failure is Failure.EXIT
            assert (code.directory / "begun").exists()
            assert not (code.directory / "done").exists()

    asyncio.run(go())


def test_a_crash_from_outside_strikes_the_environments_that_run_an_invocation(code):
    code.python("""
        import time
        def handler(event, context):
            open("begun", "w").close()
            time.sleep(60)
    """)

    async def go():
        with running(code, timeout=30) as call:
            invocation = asyncio.ensure_future(call())
            await eventually((code.directory / "begun").exists, "the handler")
            assert call.function.crash("another-request") == 0
            assert call.function.crash() == 1
            assert (await invocation).failure is Failure.EXIT

    asyncio.run(go())


def test_a_cold_start_can_be_forced(code):
    code.python(COUNTER)

    async def go():
        with running(code) as call:
            call.function.faults.add([Fault(FaultKind.COLD_START, 3)])
            assert [value(await call())["count"] for _ in range(4)] == [1, 2, 1, 2]

    asyncio.run(go())


def test_a_throttle_lasts_as_long_as_it_was_scripted_for(code):
    code.python("def handler(event, context): return 1")
    now = [100.0]

    async def go():
        with running(code, clock=lambda: now[0]) as call:
            call.function.faults.add([Fault(FaultKind.THROTTLE, 2, seconds=5)])
            await call()
            assert not call.function.begin()
            now[0] += 4.9
            assert not call.function.begin()
            now[0] += 0.2
            assert value(await call()) == 1

    asyncio.run(go())


def test_reserved_concurrency_throttles_what_is_above_it(code):
    code.python("def handler(event, context): return 1")

    async def go():
        with running(code, reserved=1) as call:
            assert call.function.begin()
            assert not call.function.begin()
            await call.function.invoke(b"{}")
            assert value(await call()) == 1

    asyncio.run(go())


def test_every_event_of_an_environment_is_observed(code):
    code.python(WITNESS)

    async def go():
        with running(code) as call:
            await call()
        names = [name for name, _ in call.events]
        assert names == ["function-invoked", "environment-started", "function-ended", "environment-ended"]
        assert all(fields["function"] == "worker" for _, fields in call.events)
        assert json.dumps(call.events)

    asyncio.run(go())
