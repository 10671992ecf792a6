import runpy
import subprocess
import sys

import pytest

from infra.errors import InfraError
from tests.infra.conftest import CHECKOUT, operations


def as_the_pulumi_cli_runs_it():
    runpy.run_path(str(CHECKOUT / "infra"), run_name="__main__")


def test_the_program_is_the_same_run_as_a_script_as_the_pulumi_cli_does(lab):
    lab.engine().up()
    assert operations(lab.engine(program=as_the_pulumi_cli_runs_it).up()) == {}


@pytest.mark.parametrize("program", [None, as_the_pulumi_cli_runs_it])
def test_a_bad_configuration_value_is_a_sentence_either_way(new_lab, program):
    settings = {"maxReceiveCount": "many"} | ({"program": program} if program else {})
    with pytest.raises(InfraError, match="maxReceiveCount must be a whole number from 1 to 1000"):
        new_lab().engine(**settings).preview()


def test_commands_import_neither_pulumi_nor_boto3():
    heavy = "{'pulumi', 'boto3', 'moto', 'yaml'}"
    script = f"import sys, infra.commands.stacks, infra.stack.stacks; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=CHECKOUT)
    assert done.stdout == "set()\n"
