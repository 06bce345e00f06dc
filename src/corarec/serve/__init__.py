"""A trained run as a service: an HTTP API, one scoring thread, a store of what people said.

Of the rooms before it, it takes runs and what they know while they are served; nothing but the
command line stands after it.
"""
