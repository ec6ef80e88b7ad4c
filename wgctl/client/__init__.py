"""HTTP out: what operators, roles and peers ask. And one DNS question.

api        what commands ask the controller, as shapes of `wgctl.core.schema`
node       a role's requests over `node.sock`: register, report, relay, follow
internal   a peer's requests to `_api.internal`: announce, renew, withdraw
refusal    what a refusal of any of them is
resolver   one DNS question, asked in the name of a network
|
asking       one HTTP request, with the standard library alone, by one of two ways
unix_http    over a Unix socket
https        over TLS, with a token
unix_stream  one within an event loop, by h11, and its answer as it comes
"""
