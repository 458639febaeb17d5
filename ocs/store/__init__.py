"""The account balance management function's storage: keys, one compare-and-set, group commit, streams, deadlines."""
