"""A program's own runtime is started quickly, unless the user has chosen how."""

import json
import shutil
import subprocess

import pytest

from scenarios.lockstep.runtimes import quick


def test_java_gets_the_quick_compiler_and_the_plain_collector():
    arguments, environment = quick(("/usr/bin/java", "-cp", "x", "Main"), {"A": "1"})
    assert arguments == ("/usr/bin/java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", "x", "Main")
    assert environment == {"A": "1"}


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (("java", "-XX:+UseZGC", "Main"), {}),
        (("java", "-Xint", "Main"), {}),
        (("java", "@options", "Main"), {}),
        (("java", "Main"), {"JAVA_TOOL_OPTIONS": "-Xmx64m -XX:+UseG1GC"}),
        (("java", "Main"), {"JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=4"}),
        (("./gradlew", "run"), {}),
    ],
)
def test_what_the_user_has_chosen_for_java_stays(arguments, environment):
    assert quick(arguments, environment) == (arguments, environment)


def test_the_users_compile_cache_stays():
    assert quick(("node", "a.mjs"), {"NODE_COMPILE_CACHE": "/mine"})[1] == {"NODE_COMPILE_CACHE": "/mine"}
    assert quick(("node", "a.mjs"), {})[1]["NODE_COMPILE_CACHE"].endswith("queue-fundamentals/node")


@pytest.mark.processes
@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_webassembly_compiles_in_node_as_before(tmp_path):
    program = tmp_path / "program.mjs"
    program.write_text(
        "const empty = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]);\n"
        "const made = await WebAssembly.compile(empty);\n"
        "const refused = await WebAssembly.compile(new Uint8Array(3)).catch((error) => error.name);\n"
        "const { name, length } = WebAssembly.compile;\n"
        "console.log(JSON.stringify([made instanceof WebAssembly.Module, refused, name, length, process.argv.length]));"
    )
    told = {}
    for how, (arguments, _) in {
        "quick": quick(("node", str(program), "--option"), {}),
        "plain": (("node", str(program), "--option"), {}),
    }.items():
        told[how] = json.loads(subprocess.run(arguments, check=True, capture_output=True).stdout)
    assert told["plain"] == [True, "CompileError", "compile", 1, 3]
    assert told["quick"] == told["plain"]
