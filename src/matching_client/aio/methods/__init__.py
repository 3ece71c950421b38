"""The methods of the client, one module per service of the contract.

All are alike: they build the request from keyword arguments, call, and return the response, or, where the
response has exactly one field, that field; a response without fields is None. Arguments left out mean what
the contract says of unset fields. `timeout` (seconds for all attempts together) and `correlation_id` may be
given to each.
"""
