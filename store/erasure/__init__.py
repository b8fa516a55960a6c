"""The erasure consumer: the only code that erases. Deletion events become job rows, job rows are driven to their end.

In the order in which a request passes through (docs/erasure.md tells the same as a story):

- in: `consume` reads the topic, `opening` believes it, `admit` makes the row (`identifiers`, `details`)
- decided: `decide`, `deadlines`; `drive` takes every row from state to state (`jobs`), `executors` says who executes
- executed, by kind: `subject`, `message`, `account`, `joins`, `callback`; beside them `at_meta` (`graph`)
- told: `tell`, `passed` (`steps`, `log_ends`): fences, notices, and until every lane has passed
- acknowledged: `acknowledged` (`told_readers`, `reader_groups`): whether downstream readers have passed the notice
- answered: `answer` signs what `receipts` makes of `survey` (`inventory`, `observe`)
- by itself: `upkeep` (`expiry`), `measure`; after a restore `rebuild`, `republish`
- for operators: `cli*`, `preview`, `dashboard_list`; to doubt a receipt: `live`, `live_topic`, `samples`
"""
