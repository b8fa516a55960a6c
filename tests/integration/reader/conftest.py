"""The Node reader with the packages of its lock file, fetched once."""

import shutil
import subprocess
from pathlib import Path

import pytest

NODE_READER = Path(__file__).parents[3] / "contracts" / "readers" / "node"


@pytest.fixture(scope="session")
def node_reader() -> Path:
    """Its folder. Without Node, or without a network and without the packages, there is nothing to test."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("there is no Node here")
    if not (NODE_READER / "node_modules").is_dir():
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        if subprocess.run(command, cwd=NODE_READER, check=False, timeout=120).returncode != 0:
            pytest.skip("the packages of the Node reader could not be fetched")
    return NODE_READER
