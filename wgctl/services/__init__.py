"""Use cases: one function each, one transaction each. Who may ask was decided above.

org, network, peer, app, machine, gateway    what admins do, noun by noun
member, token                                who is in an org, and what they come with
entry                                        who comes with a token
audit                                        who did what
lease                                        what peers announce by themselves
identity                                     who an address is
reconcile                                    what a gateway host does to its kernel
listing                                      lists of what networks hold, in parts
compare                                      what restoring one state over another does
observe                                      what roles saw, kept apart from the store's truth
condition                                    what must hold for a change to be made
"""
