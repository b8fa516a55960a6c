"""The desk: what people outside see, which is the status page of an erasure.

Must never import keys, lanes or erasure, reach a tenant's schema, or say whether somebody is a customer.
"""
