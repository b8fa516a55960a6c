"""Makes what others read out of what the code declares: schemas, the AsyncAPI document, the reference, the register.

Pure: everything is computed from `contracts.events`, `contracts.topics` and `contracts.headers`; only `__main__` touches
files. Must never hold a client, and never say anything that the declarations do not.
"""
