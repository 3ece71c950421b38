"""The asynchronous client, on grpc.aio.

`client`, `stubs`, `watch` and `methods` are the sources of the synchronous modules of the same names, which
`make generate` makes of them. What differs in more than `await` is written twice: `caller`, `channel`,
`connection` and `stream`.
"""
