"""What the server does a second, how long it takes, and what a request costs. Reports; asserts nothing about time."""
