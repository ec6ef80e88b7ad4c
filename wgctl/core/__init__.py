"""Decisions: values in, values out. No file, socket, clock, process or database.

model        what orgs, networks, gateways, peers, apps and machines are
errors       the kinds of refusal, and what each becomes outside
settings     the settings of one host
schema       the JSON shapes that api and client share
lease        until when an announced machine is there
lease_schema the JSON shapes of that
pace         how often one asker may ask
feed         the stream of changes, and its lines
access       the scopes that a route may declare, and who has them
allocate     which network id, which number
plan         desired device x actual device -> steps
backend      what runs the device: the kernel, or a process
firewall     networks -> nftables ruleset, as data
region       which regions are near
names/       the names that a network has, and what stands at each
view         what one network may resolve
forward/     asking elsewhere: whom, what to believe, what to keep
wire         DNS messages as octets
responder    query bytes x names x asker -> reply, forward or drop
ports        Protocols, only where two implementations exist
"""
