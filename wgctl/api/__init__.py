"""HTTP in: FastAPI applications and their routes, one file per noun.

operators    what admins use, over api.sock
remote       the same routes over TLS, for those who send a token
nodes        what this host's roles use, over node.sock: the feed, reports, relayed announcements
internal     what peers use, on port 4280 of their network's ::3: who one is, and leases
|
org, network, peer, app, machine, gateway, status     routes
member, token, audit                                  routes of who may do what, and who did
backup                                                the store as it is at one moment
lease                                                 what peers announce, relayed
feed                                                  the stream of changes
document                                              the API as OpenAPI has it; its examples
|
door         builds an application; no route starts without a declared scope
application  one whose requests go straight to their route; whatever is raised is answered
route        one that finds its parameters as they were declared
caller       who a request comes from, before its body is read
speaker      which role a request over node.sock may speak for
context      what a route gets: the store, what was seen, the time
changes      the one thread that changes the store; those that come at once share a commit
pages        lists in parts
etag         a change of what was seen, and of no other
query        no parameter that its route does not know
limits       how long a body may be, and how often one may ask
problems     refusals as RFC 9457 problem documents
shapes       values of the house as shapes of wgctl.core.schema
access_shapes  members, tokens and callers likewise
"""
