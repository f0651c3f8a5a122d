"""Pages about accounts: logging in and out, people, sessions, tokens."""
