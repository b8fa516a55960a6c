"""The erasure consumer: the only code that erases. Deletion events become job rows, job rows are driven to their end.

In the order in which a request passes through (docs/erasure.md tells the same as a story):

- `requests`: reads the topic, believes a record or not, makes the row
- here: `decide`, `deadlines`; `drive` takes every row (`jobs`) from state to state, `steps` is what was done of each
- `execution`: what each kind of request deletes and fences; `at_meta`: the same asked of Meta
- `telling`: fences, notices, outcomes; until every lane has passed and downstream readers have acknowledged
- `answers`: the signed receipt, and the copies that remain until they expire
- here, by itself: `upkeep` (`expiry`), `measure`; `recovery`: after a restore
- `operator`: the commands; `verification`: to doubt a receipt
"""
