"""`python -m docs.generate`: writes every generated document. `make contracts` says whether one of the contract's is stale."""

import sys

from contracts.generate.__main__ import main as write_contract
from deploy.local.settings_reference import main as write_settings

if __name__ == "__main__":
    sys.exit(write_contract([]) or write_settings([]))
