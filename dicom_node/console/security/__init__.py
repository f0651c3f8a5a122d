"""Who may do what: headers, sessions, forged requests, roles, passwords, how often one may try."""
