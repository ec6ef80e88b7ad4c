"""Decisions: values in, values out. No file, socket, clock, process or database.

kinds        the fixed sets of words: roles, states, kinds of token
model        what orgs, networks, gateways, peers, apps, machines and members are
errors       the kinds of refusal, and what each becomes outside
settings     the settings of one host
shape        what every JSON shape has in common
schema       the JSON shapes that api and client share
role_shape   those of what is special to one role
|
feed         the stream of changes, and its lines
setback      when a role that follows it is set back
marks        how far each count has come, and how far it jumps when a store is restored
access       the scopes that a route may declare, and who has them: doors, roles, tokens
bearer       tokens as texts: made, read, and made narrower
audit        who did what, in a chain of hashes
access_schema the JSON shapes of members, tokens and audit records
allocate     which network id, which number
|
roster       the rows that a gateway programs, and what a change touches
service      service addresses, and the machines behind each
allowed_ips  a peer's allowed IPs, as one row of bytes
tunnel       a host's tunnel as a value, and the steps that change one
whole        one that is kept up to date part by part
plan         desired tunnel x actual tunnel -> steps
drift        what a pass found and mended, before and after, in words
firewall     networks x services -> nftables ruleset, as data
backend      what runs the device: the kernel, or a process
presence     on demand: which peers are in use, and when one leaves
sights       what to tell of what a device saw of its peers
|
region       which regions are near
names/       the names that a network has, and what stands at each
view         what one network may resolve
wire         DNS messages as octets
responder    query bytes x names x asker -> reply, forward or drop
forward/     asking elsewhere: whom, what to believe, what to keep
|
check        what is asked of a machine
health       what follows from its probes
health_shape the JSON shapes of both
lease        until when an announced machine is there
lease_schema the JSON shapes of that
pace         how often one asker may ask
source       where a connection from elsewhere comes from
authority    the deployment's own, and what it vouches for
pin          what a client holds on to of it
issued       a certificate of a CA in the place of its own
renewal      when that is asked for, and again
challenge    what proves to a CA that a name leads here
|
ports        Protocols, only where two implementations exist
"""
