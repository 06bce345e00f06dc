"""Processes that do work for this one, on this machine or a cluster; what they make is kept."""
