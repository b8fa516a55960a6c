"""Known answers for every field of the wire, wrong ones included, for readers in any language.

`python -m contracts.vectors.make` writes the JSON files beside this one. All keys here are made up, published and of
no use. Must never use a key, clock or random source of the running system.
"""
