"""Receipts in words: what the system did, and why, for people who were not there."""
