"""What the command line of the hub imports before it knows which command it is given."""

import subprocess
import sys


def test_a_command_does_not_wait_for_the_import_of_the_server() -> None:
    code = "import sys, hub.cli.main; print({'aiohttp', 'hub.app', 'influxdb_client'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
