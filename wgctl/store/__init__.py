"""SQL: what the controller knows, and each role's copy of what it needs.

store         opens the database; one transaction for reading or writing
turns         whose turn it is to write; one commit for what a thread writes together
connections   those that are kept open for who reads
|
deployment    what stands above orgs: orgs themselves, gateways, counters, the feed
org           the one scoped door to what an org owns: networks and peers
machines      its apps, machines and checks
members       its members and tokens
scoped        what each of its statements goes through: the org, and how far the caller reaches
standing      beside it: how a token stands, before it is known which org is asked
|
prepared      statements that are compiled once, and run as the driver has them
changes       the revision, and a row for each change
rows          rows of the tables as values, and back
trail         the audit trail: records that nobody changes
unique        what a violated UNIQUE constraint means
tables        the tables, for every database the same
migrations/   how they came to be
upgrade       those that a database has not seen

snapshot      the whole file, copied while it is written to, and checked; its log
marks         how far each count has come, and raising them after a restore

copy          beside them: the file of a role, filled from the feed
copy_reader   what is asked of it, there and in processes that only read
copy_row      its rows as those of the feed, and back
ahead         what that file could not take, held in memory
health        beside them: the file of what a role's probes have found
visits        and the file of what a gateway remembers of peers that left
side_file     what both of them are
"""
