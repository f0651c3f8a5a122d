"""The first page: how the node is, and what to do when it is not well."""
