"""The small consumers in four languages: what each needs, how it is built, and its command line."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
LANGUAGES = ("python", "node", "go", "java")

#: What a language needs, how its consumer is built, and how it runs; {built} is a directory of the tests'.
_NEEDS = {"python": sys.executable, "node": "node", "go": "go", "java": "javac"}
_BUILD = {
    "go": ("go", "build", "-C", str(HERE / "go"), "-o", "{built}/consumer", "."),
    "java": ("javac", "-d", "{built}", str(HERE / "java" / "Consumer.java")),
}
_RUN = {
    "python": (sys.executable, str(HERE / "plain" / "consumer.py")),
    "node": ("node", str(HERE / "node" / "consumer.mjs")),
    "go": ("{built}/consumer",),
    "java": ("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", "{built}", "Consumer"),
}


@pytest.fixture(scope="session")
def small_consumer(tmp_path_factory):
    """Return a function from a language and an option to a command line; it builds what is not built yet."""
    built = {}

    def command(language, option):
        if shutil.which(_NEEDS[language]) is None:
            pytest.skip(f"{_NEEDS[language]} is not installed")
        if language not in built:
            built[language] = tmp_path_factory.mktemp(language)
            _run(_BUILD.get(language, ()), built[language])
        return shlex.join([word.format(built=built[language]) for word in _RUN[language]] + [option])

    return command


def _run(words, built):
    if words:
        subprocess.run([word.format(built=built) for word in words], check=True, capture_output=True)
