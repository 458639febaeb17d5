"""Policy: counters to status to rules and QoS, and the Gx and Sy fronts. Not here yet; the folder holds its place."""
