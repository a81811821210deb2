"""Elasticsearch: what happens in runs as documents, for Kibana and for whoever compares the runs of a team.

``documents`` makes them of events, ``templates`` says what they hold, ``sink`` writes them, ``queries`` finds and
deletes them, ``server`` is where they are: the client's package is imported there alone.
"""
