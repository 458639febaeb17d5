"""Gy and Ro: Credit-Control messages to commands of the charging function, and decisions to answers."""
