"""aiokafka behind our own defaults and errors: producer, consumer, topics, offsets, the control reader.

Library errors are translated here, once. STYLE.md section 5 lists what bites.
"""
