"""Charging data records: the event streams as files, each record once.

record    a receipt's records            formats   their lines in JSON and CSV
follow    the events, from the store     files     the rotating set of files; state, disk: what it is made of
writer    the loop, and the process that runs it
"""
