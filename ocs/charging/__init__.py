"""The pure core: state, commands, and `decide`, the only code that moves a balance. No I/O, no clock, no randomness."""
